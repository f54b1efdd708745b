package rules

import (
	"go/ast"
	"go/types"
)

// MapOrder finds operations inside a range over a map.
var MapOrder = newAnalyzer("maporder", `find operations that are performed in the order of a map

Go ranges over a map in another order each time. Operations in such a loop are found by their ids all the same, but the
loop comes to them in another order after an interruption: what stops it half-way, an error or a break, stops it
elsewhere then. Range over the sorted keys.`, func(c *checked) {
	c.each([]ast.Node{(*ast.RangeStmt)(nil)}, func(n ast.Node, around []ast.Node) {
		loop, _ := n.(*ast.RangeStmt)
		t := c.TypesInfo.TypeOf(loop.X)
		if t == nil || c.zoneIn(around) != orchestration {
			return
		}
		if _, ok := t.Underlying().(*types.Map); !ok && !c.rangesOverMap(loop.X) {
			return
		}
		if call := c.operationIn(loop.Body); call != nil {
			c.reportf(loop, "an operation (line %d) is performed in the order of a map, which is another one when the code runs again: "+
				"range over the sorted keys", c.Fset.Position(call.Pos()).Line)
		}
	})
})

// rangesOverMap reports whether an expression iterates over a map in no order: maps.Keys(m), maps.Values(m), maps.All(m).
func (c *checked) rangesOverMap(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && isFrom(c.callee(call), "maps", "Keys", "Values", "All")
}

// operationIn is the first call in a node that may perform operations of the orchestration, or nil. What stands in the body of
// a step is none.
func (c *checked) operationIn(n ast.Node) *ast.CallExpr {
	var found *ast.CallExpr
	ast.Inspect(n, func(n ast.Node) bool {
		if z, own := c.zoneOf(n); own && z == effect {
			return false
		}
		if call, ok := n.(*ast.CallExpr); ok && found == nil && c.contextOf(call) != nil {
			found = call
		}
		return found == nil
	})
	return found
}

// Goroutine finds operations in goroutines that the engine does not know.
var Goroutine = newAnalyzer("goroutine", `find operations in goroutines that the engine does not know

A goroutine of one's own, by a go statement, an errgroup, a WaitGroup or time.AfterFunc, shares the context of the
orchestration with the code around it. Only one operation of a context may be under way at a time, and the engine cannot
end such a goroutine or wait for it: the orchestration is blocked only where it notices. Use lambdabiz.Go, Map or Race.`,
	func(c *checked) {
		const advice = "an operation is performed in a goroutine that the engine does not know: use lambdabiz.Go, Map or Race"
		c.each([]ast.Node{(*ast.GoStmt)(nil), (*ast.CallExpr)(nil)}, func(n ast.Node, around []ast.Node) {
			if c.zoneIn(around) != orchestration {
				return
			}
			switch s := n.(type) {
			case *ast.GoStmt:
				if c.operationIn(s.Call) != nil {
					c.reportf(s, advice)
				}
			case *ast.CallExpr:
				f := c.callee(s)
				if f == nil || f.Pkg() == nil {
					return
				}
				method := f.Signature().Recv() != nil && (f.Name() == "Go" || f.Name() == "TryGo")
				if !method && !isFrom(f, "time", "AfterFunc") {
					return
				}
				for _, arg := range s.Args {
					if body, ok := arg.(*ast.FuncLit); ok && c.operationIn(body) != nil {
						c.reportf(s, advice)
					}
				}
			}
		})
	})

// OtherContext finds branches that perform operations with the context of the code around them.
var OtherContext = newAnalyzer("othercontext", `find branches that use the context of the code around them

The function of a branch gets a context of its own. An operation in it that is given the outer one belongs to the outer
scope: it uses that context beside the code around it, and does not end with its branch. Use the branch's own.`,
	func(c *checked) {
		c.each([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node, around []ast.Node) {
			call, _ := n.(*ast.CallExpr)
			arg := c.contextOf(call)
			if arg == nil || c.zoneIn(around) != orchestration {
				return
			}
			v := c.variable(arg)
			branch, own := c.branchAround(around)
			if v == nil || branch == nil || within(v, branch) || v.Parent() == c.Pkg.Scope() {
				return
			}
			c.reportf(arg, "the branch has a context of its own, %s, and uses that of the code around it, %s", own, v.Name())
		})
	})

// branchAround is the innermost function literal that is given to a function of the library and takes a context, with
// the name of that.
func (c *checked) branchAround(around []ast.Node) (*ast.FuncLit, string) {
	for i := len(around) - 1; i > 0; i-- {
		body, ok := around[i].(*ast.FuncLit)
		if !ok {
			continue
		}
		if z, own := c.zoneOf(body); !own || z != orchestration {
			continue
		}
		call, ok := around[i-1].(*ast.CallExpr)
		if !ok || !isFrom(c.callee(call), library) || c.contextOf(call) == nil {
			return nil, ""
		}
		for _, field := range body.Type.Params.List {
			if isContext(c.TypesInfo.TypeOf(field.Type)) && len(field.Names) > 0 && field.Names[0].Name != "_" {
				return body, field.Names[0].Name
			}
		}
		return body, "which it does not name"
	}
	return nil, ""
}
