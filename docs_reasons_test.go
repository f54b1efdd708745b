package lambdabiz_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// elsewhere are reasons whose text is made where the expression does not show it; "" is one that only tests see.
var elsewhere = map[string]string{
	"p.Error()":            "panic: …",                                               // panicError
	"c.unresolved.Error()": `a task resolver over task "…": …`,                       // registry.resolved
	"unable.Error()":       "… does not support ContinueAsNew with open children: …", // UnsupportedError
	"foreign.Error()":      "… does not support transactions of another home: …",
	"textOf(fault)":        "decode input of the orchestration: invalid payload: …",
	"answer.Refuse":        "", // of lambdabiztest and check
	"again.reason":         "", // what the code that is checked would be blocked with
}

// TestDocsExplainEveryReasonToBlock takes the texts of Blocked.Reason from the source, and looks for them in the page; what the
// page has besides is not said any more.
func TestDocsExplainEveryReasonToBlock(t *testing.T) {
	t.Parallel()
	text := page(t, "troubleshooting.md")
	reasons := reasonsToBlock(t)
	for reason, at := range reasons {
		if !strings.Contains(text, "`"+reason+"`") {
			t.Errorf("troubleshooting.md does not explain, of %s: `%s`", at, reason)
		}
	}
	if len(reasons) < 20 {
		t.Errorf("there are %d reasons only: %v", len(reasons), slices.Collect(maps.Keys(reasons)))
	}
	_, blocked, found := strings.Cut(text, "\n## Why an orchestration is blocked\n")
	blocked, _, _ = strings.Cut(blocked, "\n## ")
	if !found {
		t.Fatal("troubleshooting.md has no section of reasons")
	}
	for _, heading := range regexp.MustCompile("(?m)^### `(.*)`$").FindAllStringSubmatch(blocked, -1) {
		if reasons[heading[1]] == "" {
			t.Errorf("troubleshooting.md explains a reason that the source does not have: %s", heading[1])
		}
	}
}

// reasonsToBlock are the texts that production code gives as Blocked.Reason, each with a place in the source. What is put into
// them is "…".
func reasonsToBlock(t *testing.T) map[string]string {
	t.Helper()
	reasons := map[string]string{}
	for _, f := range goFiles(t) {
		if f.test || slices.Contains([]string{"backendtest", "storetest"}, f.dir) {
			continue
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for _, reason := range reasonsIn(fn) {
				r := reader{dir: f.dir, files: goFiles(t), fn: fn}
				for _, text := range r.texts(reason) {
					if strings.Trim(text, "… ") != "" {
						reasons[text] = f.at(reason.Pos())
					} else if text, known := elsewhere[types.ExprString(reason)]; !known {
						t.Errorf("%s: nobody can tell from here what %s is: add it to the list of the test",
							f.at(reason.Pos()), types.ExprString(reason))
					} else if text != "" {
						reasons[text] = f.at(reason.Pos())
					}
				}
			}
		}
	}
	return reasons
}

// reasonsIn are the expressions that become the Reason of a Blocked in a function.
func reasonsIn(fn *ast.FuncDecl) []ast.Expr {
	var reasons []ast.Expr
	blocks := false
	ast.Inspect(fn, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || lit.Type == nil || !regexp.MustCompile(`^(lambdabiz\.)?Blocked$`).MatchString(types.ExprString(lit.Type)) {
			return true
		}
		blocks = true
		for _, e := range lit.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok && types.ExprString(kv.Key) == "Reason" {
				reasons = append(reasons, kv.Value)
			}
		}
		return true
	})
	ast.Inspect(fn, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && blocks && len(a.Lhs) == len(a.Rhs) {
			for i, left := range a.Lhs {
				if sel, ok := left.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reason" {
					reasons = append(reasons, a.Rhs[i])
				}
			}
		}
		return true
	})
	return reasons
}

// reader tells which texts an expression may have.
type reader struct {
	dir   string
	files []*goFile
	fn    *ast.FuncDecl
}

var verbs = regexp.MustCompile(`%[-+#.0-9]*[a-zA-Z]`)

func (r *reader) texts(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{text}
		}
	case *ast.BinaryExpr:
		var all []string
		for _, x := range r.texts(e.X) {
			for _, y := range r.texts(e.Y) {
				all = append(all, x+y)
			}
		}
		return all
	case *ast.Ident:
		if all := r.assigned(e.Name); len(all) > 0 {
			return all
		}
	case *ast.CallExpr:
		switch f := types.ExprString(e.Fun); {
		case f == "fmt.Sprintf" || f == "fmt.Errorf" || f == "errors.New":
			var all []string
			for _, format := range r.texts(e.Args[0]) {
				format = strings.ReplaceAll(format, "%q", `"…"`)
				all = append(all, verbs.ReplaceAllString(format, "…"))
			}
			return all
		case strings.HasSuffix(f, ".Error"):
			if id, ok := e.Fun.(*ast.SelectorExpr).X.(*ast.Ident); ok {
				return r.texts(id)
			}
		case elsewhere[types.ExprString(e)] == "":
			return r.returned(f)
		}
	}
	return []string{"…"}
}

// assigned are the texts that a variable of the function may have. The empty one says that there is none yet.
func (r *reader) assigned(name string) []string {
	var all []string
	ast.Inspect(r.fn, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == len(a.Rhs) {
			for i, left := range a.Lhs {
				if types.ExprString(left) != name || types.ExprString(a.Rhs[i]) == `""` {
					continue
				}
				if text, known := elsewhere[types.ExprString(a.Rhs[i])]; known {
					all = append(all, text)
					continue
				}
				all = append(all, r.texts(a.Rhs[i])...)
			}
		}
		return true
	})
	return all
}

// returned are the texts that a function of the package returns.
func (r *reader) returned(name string) []string {
	for _, f := range r.files {
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || f.test || f.dir != r.dir || fn.Recv != nil || fn.Name.Name != name {
				continue
			}
			var all []string
			inside := reader{r.dir, r.files, fn}
			ast.Inspect(fn, func(n ast.Node) bool {
				if ret, ok := n.(*ast.ReturnStmt); ok && len(ret.Results) == 1 {
					all = append(all, inside.texts(ret.Results[0])...)
				}
				return true
			})
			return all
		}
	}
	return []string{"…"}
}

// TestDocsExplainEveryErrorOfUsers looks for each exported sentinel with its text, each exported error type, each feature that
// a home may refuse and each reason of package rest.
func TestDocsExplainEveryErrorOfUsers(t *testing.T) {
	t.Parallel()
	text, n := page(t, "troubleshooting.md"), 0
	for _, f := range goFiles(t) {
		first, _, _ := strings.Cut(f.dir, "/")
		if f.test || strings.Contains(f.dir, "internal") || layerOf(f.dir) == programs ||
			slices.Contains(suites, first) || first == "deploy" {
			continue
		}
		for what, at := range errorsOf(f) {
			if n++; !strings.Contains(text, "`"+what+"`") {
				t.Errorf("troubleshooting.md does not explain %s of %s", what, at)
			}
		}
	}
	if n < 60 {
		t.Errorf("there are %d errors only", n)
	}
}

// errorsOf is what a file declares that its package's users meet as an error, each with its place. Names have their package,
// but for those of the root.
func errorsOf(f *goFile) map[string]string {
	found := map[string]string{}
	pkg := f.ast.Name.Name + "."
	if f.dir == "." {
		pkg = ""
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil && d.Name.Name == "Error" && len(d.Type.Params.List) == 0 {
				if star, ok := d.Recv.List[0].Type.(*ast.StarExpr); ok && ast.IsExported(types.ExprString(star.X)) {
					found["*"+pkg+types.ExprString(star.X)] = f.at(d.Pos())
				}
			}
			return false
		case *ast.ValueSpec:
			kind := ""
			if d.Type != nil {
				kind = types.ExprString(d.Type)
			}
			for i, name := range d.Names {
				if len(d.Values) <= i || !name.IsExported() {
					continue
				}
				if strings.HasPrefix(name.Name, "Err") {
					found[pkg+name.Name] = f.at(name.Pos())
				}
				r := reader{dir: f.dir, files: []*goFile{f}, fn: &ast.FuncDecl{Name: name, Type: &ast.FuncType{}}}
				if texts := r.texts(d.Values[i]); (strings.HasPrefix(name.Name, "Err") || kind == "Feature" || kind == "Reason") &&
					texts[0] != "…" {
					found[texts[0]] = f.at(name.Pos())
				}
			}
		}
		return true
	})
	return found
}
