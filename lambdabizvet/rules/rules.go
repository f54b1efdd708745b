package rules

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

const library = "github.com/lambdabiz/lambdabiz"

// All returns every analyzer, in the order in which "lambdabizvet help" lists them.
func All() []*analysis.Analyzer {
	return []*analysis.Analyzer{Captured, Chance, Clock, Discarded, Goroutine, LoopID, MapOrder, OtherContext}
}

// zone is what a piece of code is to the engine.
type zone uint8

const (
	outside       zone = iota // no orchestration
	orchestration             // runs again after an interruption
	effect                    // the body of a step or a task
)

// newAnalyzer makes an analyzer of a function that is called once a package.
func newAnalyzer(name, doc string, run func(c *checked)) *analysis.Analyzer {
	return &analysis.Analyzer{
		Name: name, Doc: doc, URL: "https://pkg.go.dev/" + library + "/lambdabizvet/rules",
		Requires: []*analysis.Analyzer{inspect.Analyzer},
		Run: func(pass *analysis.Pass) (any, error) {
			if uses(pass.Pkg) {
				run(&checked{Pass: pass})
			}
			return nil, nil
		},
	}
}

// uses reports whether a package can have orchestrations: it imports the library, and is not part of it.
func uses(pkg *types.Package) bool {
	if pkg.Path() == library || pkg.Path() == library+"/rest" {
		return false
	}
	for _, imported := range pkg.Imports() {
		if imported.Path() == library || strings.HasPrefix(imported.Path(), library+"/") {
			return true
		}
	}
	return false
}

// checked is the package that is being looked at.
type checked struct{ *analysis.Pass }

// each calls f for every node of the kinds, with the nodes around it, the outermost first.
func (c *checked) each(kinds []ast.Node, f func(n ast.Node, around []ast.Node)) {
	in, _ := c.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	in.WithStack(kinds, func(n ast.Node, push bool, stack []ast.Node) bool {
		if push {
			f(n, stack[:len(stack)-1])
		}
		return true
	})
}

// reportf says what is wrong at a node, unless a comment says that it is meant.
func (c *checked) reportf(n ast.Node, format string, args ...any) {
	line := c.Fset.Position(n.Pos()).Line
	for _, file := range c.Files {
		if file.FileStart > n.Pos() || n.Pos() > file.FileEnd {
			continue
		}
		for _, group := range file.Comments {
			for _, comment := range group.List {
				reason, found := strings.CutPrefix(comment.Text, "//lambdabizvet:ignore ")
				at := c.Fset.Position(comment.Pos()).Line
				if found && strings.TrimSpace(reason) != "" && (at == line || at == line-1) {
					return
				}
			}
		}
	}
	c.ReportRangef(n, format, args...)
}

// isContext reports whether a type is what operations take as their first argument.
func isContext(t types.Type) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return isNamed(p.Elem(), library, "Orchestration")
	}
	return isNamed(t, library, "Context")
}

func isNamed(t types.Type, path, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == path && named.Obj().Name() == name
}

// zoneOf is the zone of a function by itself, or false if that of the code around it counts.
func (c *checked) zoneOf(n ast.Node) (zone, bool) {
	var t *ast.FuncType
	switch f := n.(type) {
	case *ast.FuncDecl:
		t = f.Type
	case *ast.FuncLit:
		t = f.Type
	default:
		return outside, false
	}
	plain := false
	for _, field := range t.Params.List {
		kind := c.TypesInfo.TypeOf(field.Type)
		if isContext(kind) {
			return orchestration, true
		}
		plain = plain || isNamed(kind, "context", "Context")
	}
	if plain {
		return effect, true
	}
	_, declared := n.(*ast.FuncDecl)
	return outside, declared
}

// zoneIn is the zone of what stands inside of these nodes.
func (c *checked) zoneIn(around []ast.Node) zone {
	for _, n := range slices.Backward(around) {
		if z, ok := c.zoneOf(n); ok {
			return z
		}
	}
	return outside
}

// callee is the function that a call calls, if that is known.
func (c *checked) callee(call *ast.CallExpr) *types.Func {
	f, _ := typeutil.Callee(c.TypesInfo, call).(*types.Func)
	if f != nil {
		return f.Origin()
	}
	return nil
}

// isFrom reports whether f is a function, not a method, of the package, with one of the names, if there are any.
func isFrom(f *types.Func, path string, names ...string) bool {
	if f == nil || f.Pkg() == nil || f.Pkg().Path() != path || f.Signature().Recv() != nil {
		return false
	}
	for _, name := range names {
		if f.Name() == name {
			return true
		}
	}
	return len(names) == 0
}

// contextOf is the argument of a call by which it can perform operations, or nil.
func (c *checked) contextOf(call *ast.CallExpr) ast.Expr {
	if tv, ok := c.TypesInfo.Types[call.Fun]; ok && tv.IsType() {
		return nil // a conversion
	}
	for _, arg := range call.Args {
		if t := c.TypesInfo.TypeOf(arg); t != nil && isContext(t) {
			return arg
		}
	}
	return nil
}

// idOf is the argument of a call that names its operation: the parameter "id" behind the context, or nil.
func (c *checked) idOf(call *ast.CallExpr) ast.Expr {
	f := c.callee(call)
	if f == nil {
		return nil
	}
	params := f.Signature().Params()
	for i := range params.Len() - 1 {
		next := params.At(i + 1)
		isID := next.Name() == "id" && types.Identical(next.Type(), types.Typ[types.String])
		if isID && isContext(params.At(i).Type()) && len(call.Args) > i+1 {
			return call.Args[i+1]
		}
	}
	return nil
}

// variable is what an expression is rooted in: x for x, x.f, x[i], *x and (x), or nil.
func (c *checked) variable(e ast.Expr) *types.Var {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.SelectorExpr:
			if _, isPackage := c.TypesInfo.Uses[rootIdent(x.X)].(*types.PkgName); isPackage {
				e = x.Sel
				continue
			}
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.Ident:
			v, _ := c.TypesInfo.ObjectOf(x).(*types.Var)
			return v
		default:
			return nil
		}
	}
}

func rootIdent(e ast.Expr) *ast.Ident {
	id, _ := e.(*ast.Ident)
	return id
}

// within reports whether an object is declared inside of a node.
func within(o types.Object, n ast.Node) bool { return n.Pos() <= o.Pos() && o.Pos() < n.End() }
