package rules

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// LoopID finds operations in loops whose id is the same in each round.
var LoopID = newAnalyzer("loopid", `find operations in a loop whose id is the same in each round

An id names one operation. In the second round of a loop the same id blocks the orchestration. Put what differs into
it: "ship-" + sku. A loop that only begins branches of its own contexts may use the same ids inside them.`, func(c *checked) {
	c.each([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node, around []ast.Node) {
		call, _ := n.(*ast.CallExpr)
		id := c.idOf(call)
		if id == nil || c.zoneIn(around) != orchestration {
			return
		}
		o := c.variable(c.contextOf(call))
		loop, rest := c.loopAround(around, call, o)
		if loop == nil || leaves(rest, call) || c.varies(id, loop) {
			return
		}
		c.reportf(id, "the operation has the same id in each round of the loop at line %d: put what differs into it",
			c.Fset.Position(loop.Pos()).Line)
	})
})

// loopAround is the innermost loop that comes to the call several times with one context, with the nodes between them.
func (c *checked) loopAround(around []ast.Node, call ast.Node, o *types.Var) (loop ast.Node, between []ast.Node) {
	inner := call
	for i, n := range slices.Backward(around) {
		if o != nil && o.Pos() != token.NoPos && within(o, n) && isFunction(n) {
			return nil, nil // the context is this function's own, the loops around it have others
		}
		switch s := n.(type) {
		case *ast.ForStmt:
			if inner != s.Init {
				return perContext(s, around[i+1:], o)
			}
		case *ast.RangeStmt:
			if inner != s.X {
				return perContext(s, around[i+1:], o)
			}
		}
		inner = n
	}
	return nil, nil
}

func perContext(loop ast.Node, between []ast.Node, o *types.Var) (ast.Node, []ast.Node) {
	if o != nil && within(o, loop) {
		return nil, nil // each round has a context of its own
	}
	return loop, between
}

func isFunction(n ast.Node) bool {
	switch n.(type) {
	case *ast.FuncLit, *ast.FuncDecl:
		return true
	}
	return false
}

// leaves reports whether the loop ends behind the call in the same block: then it comes there once.
func leaves(between []ast.Node, call ast.Node) bool {
	for _, n := range between {
		if isFunction(n) {
			return false
		}
		block, ok := n.(*ast.BlockStmt)
		if !ok || len(block.List) == 0 {
			continue
		}
		last := block.List[len(block.List)-1]
		if last.End() < call.Pos() {
			continue
		}
		switch s := last.(type) {
		case *ast.ReturnStmt:
			return true
		case *ast.BranchStmt:
			if s.Tok == token.BREAK || s.Tok == token.GOTO {
				return true
			}
		}
	}
	return false
}

// varies reports whether an id can differ from round to round: it uses what the loop declares or sets, or calls something
// that may return another value each time.
func (c *checked) varies(id ast.Expr, loop ast.Node) bool {
	if c.TypesInfo.Types[id].Value != nil {
		return false // a constant
	}
	set := map[types.Object]bool{}
	ast.Inspect(loop, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			for _, left := range s.Lhs {
				set[c.variable(left)] = true
			}
		case *ast.IncDecStmt:
			set[c.variable(s.X)] = true
		case *ast.UnaryExpr:
			if s.Op == token.AND {
				set[c.variable(s.X)] = true
			}
		}
		return true
	})
	varies := false
	ast.Inspect(id, func(n ast.Node) bool {
		switch e := n.(type) {
		case *ast.Ident:
			o := c.TypesInfo.ObjectOf(e)
			if v, ok := o.(*types.Var); ok {
				varies = varies || within(v, loop) || set[v] || v.IsField()
			}
		case *ast.CallExpr:
			if tv := c.TypesInfo.Types[e.Fun]; !tv.IsType() && !c.isPure(e) {
				varies = true
			}
		}
		return !varies
	})
	return varies
}

// isPure reports whether a call returns the same for the same arguments.
func (c *checked) isPure(call *ast.CallExpr) bool {
	f := c.callee(call)
	if f == nil || f.Pkg() == nil {
		return false
	}
	switch f.Pkg().Path() {
	case "fmt", "strings", "strconv":
		return f.Signature().Recv() == nil
	}
	return false
}
