package rules

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// Captured finds variables that the body of a step sets and the orchestration uses: the body does not run again after an
// interruption, and the variable is empty then.
var Captured = newAnalyzer("captured", `find variables of the orchestration that the body of a step sets

The body of a step runs once. When the orchestration runs again after an interruption, the step returns what is recorded
and its body does not run: a variable that it has set before has its zero value now, and the orchestration goes on with
that, without an error. Return the value from the step instead.`, func(c *checked) {
	c.each([]ast.Node{(*ast.FuncLit)(nil)}, func(n ast.Node, around []ast.Node) {
		body, _ := n.(*ast.FuncLit)
		if z, own := c.zoneOf(body); !own || z != effect || c.zoneIn(around) != orchestration {
			return
		}
		function := outermost(around)
		for _, w := range c.writes(body) {
			if w.variable.Parent() != c.Pkg.Scope() && !within(w.variable, body) && c.isRead(w.variable, function, body) {
				c.reportf(w.at, "the body of a step sets %s, which the orchestration uses: after an interruption the body does not run "+
					"again, and the variable is not set; return the value from the step", w.variable.Name())
			}
		}
	})
})

// write is a place where a variable is set.
type write struct {
	at       ast.Node
	variable *types.Var
}

// decoders are functions that set what their arguments point to.
var decoders = []string{"Scan", "Scanf", "Scanln", "Sscan", "Sscanf", "Sscanln", "Fscan", "Fscanf", "Fscanln", "Unmarshal", "Decode", "As"}

// writes are the variables that a function sets, in its own code and in function literals inside it.
func (c *checked) writes(body *ast.FuncLit) []write {
	var found []write
	add := func(at ast.Node, e ast.Expr) {
		if v := c.variable(e); v != nil {
			found = append(found, write{at, v})
		}
	}
	ast.Inspect(body.Body, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				for _, left := range s.Lhs {
					add(s, left)
				}
			}
		case *ast.IncDecStmt:
			add(s, s.X)
		case *ast.RangeStmt:
			if s.Tok == token.ASSIGN {
				add(s, s.Key)
				if s.Value != nil {
					add(s, s.Value)
				}
			}
		case *ast.CallExpr:
			if f := c.callee(s); f != nil && slices.Contains(decoders, f.Name()) {
				for _, arg := range s.Args {
					if u, ok := arg.(*ast.UnaryExpr); ok && u.Op == token.AND {
						add(s, u.X)
					}
				}
			}
		}
		return true
	})
	return found
}

// isRead reports whether a variable is used in the function outside of the body, other than by setting it.
func (c *checked) isRead(v *types.Var, function, body ast.Node) bool {
	read := false
	ast.Inspect(function, func(n ast.Node) bool {
		if n == body {
			return false
		}
		switch s := n.(type) {
		case *ast.AssignStmt: // what stands alone on the left is set, not read
			for _, e := range slices.Concat(s.Lhs, s.Rhs) {
				if id, ok := e.(*ast.Ident); !ok || !slices.Contains(s.Lhs, e) || c.TypesInfo.ObjectOf(id) != v {
					read = read || c.mentions(e, v, body)
				}
			}
			return false
		case *ast.Ident:
			read = read || c.TypesInfo.Uses[s] == v
		}
		return !read
	})
	return read
}

// mentions reports whether an expression uses a variable, outside of the body.
func (c *checked) mentions(e ast.Expr, v *types.Var, body ast.Node) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if n == body {
			return false
		}
		if id, ok := n.(*ast.Ident); ok && c.TypesInfo.Uses[id] == v {
			found = true
		}
		return !found
	})
	return found
}

// outermost is the declared function that has the nodes in it, or the file where there is none.
func outermost(around []ast.Node) ast.Node {
	for _, n := range around {
		if _, ok := n.(*ast.FuncDecl); ok {
			return n
		}
	}
	return around[0]
}
