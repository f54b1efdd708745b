package rules

import (
	"go/ast"
	"slices"
)

// Discarded finds calls of ContinueAsNew whose error is not returned.
var Discarded = newAnalyzer("discarded", `find calls of ContinueAsNew whose error is dropped

ContinueAsNew does nothing by itself: it returns an error that the orchestration's function must return. Dropped, the
orchestration ends instead of going on.`, func(c *checked) {
	const advice = "the error of ContinueAsNew is dropped, so the orchestration does not continue: return it"
	c.each([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node, around []ast.Node) {
		call, _ := n.(*ast.CallExpr)
		if !isFrom(c.callee(call), library, "ContinueAsNew") {
			return
		}
		switch s := around[len(around)-1].(type) {
		case *ast.ExprStmt, *ast.DeferStmt, *ast.GoStmt:
			c.reportf(call, advice)
		case *ast.AssignStmt:
			i := slices.Index(s.Rhs, ast.Expr(call))
			if id, ok := s.Lhs[max(i, 0)].(*ast.Ident); ok && id.Name == "_" {
				c.reportf(call, advice)
			}
		}
	})
})
