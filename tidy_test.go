package lambdabiz_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

const modulePath = "github.com/lambdabiz/lambdabiz"

// goFile is one source file of this module.
type goFile struct {
	path string // with slashes, relative to the root
	dir  string // "." for the root
	test bool
	text string
	ast  *ast.File
	fset *token.FileSet
}

func (f *goFile) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(pos).Line)
}

// imports are the import paths; those of this module begin with "./".
func (f *goFile) imports() []string {
	var list []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if p == modulePath {
			p = "./"
		} else if rest, ok := strings.CutPrefix(p, modulePath+"/"); ok {
			p = "./" + rest
		}
		list = append(list, p)
	}
	return list
}

// repoFiles returns the paths of all files with the ending, but those of tools and hidden directories.
func repoFiles(ending string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || p == "bin") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(p, ending) {
			paths = append(paths, filepath.ToSlash(p))
		}
		return nil
	})
	return paths, err
}

// goFiles parses all Go files, once for all tests.
func goFiles(t *testing.T) []*goFile {
	t.Helper()
	files, err := parseAll()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var parseAll = sync.OnceValues(func() ([]*goFile, error) {
	paths, err := repoFiles(".go")
	if err != nil {
		return nil, err
	}
	var files []*goFile
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		f := &goFile{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), text: string(text), fset: token.NewFileSet()}
		if f.ast, err = parser.ParseFile(f.fset, p, text, parser.ParseComments); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
})

// texts reads all files with the ending.
func texts(t *testing.T, ending string) map[string]string {
	t.Helper()
	paths, err := repoFiles(ending)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[p] = string(text)
	}
	return files
}

// isStandard reports whether an import path is the standard library's.
func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.HasPrefix(p, "./") && !strings.Contains(first, ".")
}

// programs is the floor of what nobody imports.
const programs = 4

// layerOf says on which floor a package stands: it may import only what stands lower.
func layerOf(dir string) int {
	switch dir {
	case "internal/rules", "internal/row":
		return 2 // what backends share, in the words of the root package
	case "internal/invariant":
		return 3 // it looks into backends: tests and programs share it, the root package must not
	}
	first, _, _ := strings.Cut(dir, "/")
	switch first {
	case "internal":
		return 0
	case ".":
		return 1
	case "cmd", "examples", "bench", "test":
		return programs
	default: // backends, rest, server, otel, and the suites for tests
		return 3
	}
}

// suites are the packages that production code does not import, and that may import testing.
var suites = []string{"backendtest", "storetest", "lambdabiztest"}

// between lists imports within one floor that are meant.
var between = map[string][]string{
	"lambdabiztest": {"memory", "check"},
	"aws":           {"aws", "rest"},
}

// TestTidyImportsGoDown checks the layers of the packages.
func TestTidyImportsGoDown(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		top, _, _ := strings.Cut(f.dir, "/")
		suite := slices.Contains(suites, top)
		for _, imported := range f.imports() {
			if f.test {
				continue
			}
			if imported == "testing" && !suite || strings.HasPrefix(imported, "testing/") && !suite {
				t.Errorf("%s imports %s: production code does not", f.path, imported)
			}
			if f.dir == "." && !isStandard(imported) && !strings.HasPrefix(imported, "./internal/") {
				t.Errorf("%s imports %s: the root package has the standard library only", f.path, imported)
			}
			dir, ours := strings.CutPrefix(imported, "./")
			if !ours {
				continue
			}
			dir = cmp.Or(dir, ".")
			to, _, _ := strings.Cut(dir, "/")
			switch {
			case slices.Contains(suites, to) && !suite && layerOf(f.dir) < programs:
				t.Errorf("%s imports %s, a suite for tests", f.path, dir)
			case layerOf(dir) < layerOf(f.dir), to == top && top != "aws", slices.Contains(between[top], to):
			case layerOf(f.dir) == programs && layerOf(dir) == programs && top == to:
			default:
				t.Errorf("%s imports %s: imports go down only", f.path, dir)
			}
		}
	}
}

// TestTidyOnlyProgramsReadTheEnvironment: flags and environment belong to programs. The guard of package rest
// reads which addresses the platform has given to the process alone, to refuse them.
func TestTidyOnlyProgramsReadTheEnvironment(t *testing.T) {
	t.Parallel()
	banned := []string{"Args", "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Exit"}
	for _, f := range goFiles(t) {
		if f.test || layerOf(f.dir) == programs || f.path == "rest/machine.go" {
			continue
		}
		if slices.Contains(f.imports(), "flag") {
			t.Errorf("%s imports flag: only programs read flags", f.path)
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "os" && slices.Contains(banned, sel.Sel.Name) {
				t.Errorf("%s uses os.%s: only programs do", f.at(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

var sqlText = regexp.MustCompile(
	`(?i)\b(select\s.+\sfrom|insert\s+into|delete\s+from|update\s+\w+\s+set|create\s+(table|index)|drop\s+table)\b`)

// TestTidyNoFormattingIntoSQL: statements are constants.
func TestTidyNoFormattingIntoSQL(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Sprintf", "Sprint", "Appendf", "Fprintf"}, sel.Sel.Name) {
				return true
			}
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING && sqlText.MatchString(lit.Value) {
					t.Errorf("%s formats into SQL", f.at(n.Pos()))
				}
			}
			return true
		})
	}
}

// TestTidyFiles checks lengths and what no file may say.
func TestTidyFiles(t *testing.T) {
	t.Parallel()
	// The words are put together here, so that this file does not have them itself.
	open := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	home := regexp.MustCompile(`(^|[\s"'(=` + "`" + `])/(work|home/\w+|root|Users/\w+)/`)
	for _, f := range goFiles(t) {
		lines := strings.Split(f.text, "\n")
		if len(lines) > 601 {
			t.Errorf("%s has %d lines, the limit is 600", f.path, len(lines)-1)
		}
		for i, line := range lines {
			if width := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t"); width > 140 {
				t.Errorf("%s:%d has %d characters, the limit is 140", f.path, i+1, width)
			}
			if slices.ContainsFunc(open, func(word string) bool { return strings.Contains(line, word) }) {
				t.Errorf("%s:%d says what is left to do: do it, or open an issue", f.path, i+1)
			}
			if f.test && strings.Contains(line, "time"+".Sleep(") && !strings.Contains(line, "lambdabiz.Sleep(") && !inBubble(f) {
				t.Errorf("%s:%d sleeps: use testing/synctest for time, channels for order", f.path, i+1)
			}
		}
	}
	for _, ending := range []string{".go", ".md", ".sql", ".yml", "Makefile", "go.mod"} {
		for p, text := range texts(t, ending) {
			for i, line := range strings.Split(text, "\n") {
				if strings.Contains(line, "/") && home.MatchString(line) {
					t.Errorf("%s:%d names a path of one machine", p, i+1)
				}
			}
		}
	}
}

// inBubble reports whether a test file works with a fake clock, on which sleeping costs nothing: by itself, or by a bench,
// which lives in a bubble.
func inBubble(f *goFile) bool {
	return slices.Contains(f.imports(), "testing/synctest") ||
		strings.Contains(f.text, "b *"+"bench)") || strings.Contains(f.text, "inVirtualTime"+"(t, ") ||
		strings.Contains(f.text, "b *"+"bench, ")
}

// TestTidyComments: every package has a doc.go (a program has its comment anywhere), every exported name a comment that begins with it.
func TestTidyComments(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, f := range goFiles(t) {
		if (path.Base(f.path) == "doc.go" || f.ast.Name.Name == "main") && f.ast.Doc != nil {
			documented[f.dir] = true
		}
	}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		if !documented[f.dir] {
			t.Errorf("%s: its package has no doc.go with a package comment", f.path)
			documented[f.dir] = true // once is enough
		}
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			checkDecl(t, f, decl)
		}
	}
}

func checkDecl(t *testing.T, f *goFile, decl ast.Decl) {
	t.Helper()
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) {
			wantComment(t, f, d.Pos(), d.Name.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					wantComment(t, f, s.Pos(), s.Name.Name, cmp.Or(s.Doc, d.Doc))
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && cmp.Or(s.Doc, d.Doc, s.Comment) == nil {
						t.Errorf("%s: %s has no comment", f.at(s.Pos()), name.Name)
					}
				}
			}
		}
	}
}

func wantComment(t *testing.T, f *goFile, pos token.Pos, name string, doc *ast.CommentGroup) {
	t.Helper()
	text := strings.TrimSpace(doc.Text())
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	if !strings.HasPrefix(text, name) {
		t.Errorf("%s: the comment of %s must begin with its name", f.at(pos), name)
	}
}

// exportedReceiver reports whether a function is no method of an unexported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	kind := d.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.IsExported()
		default:
			return true
		}
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// TestTidyLinksResolve follows the links from one file of the documentation to another.
func TestTidyLinksResolve(t *testing.T) {
	t.Parallel()
	for p, text := range texts(t, ".md") {
		for _, link := range markdownLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") || strings.HasPrefix(link[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), link[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", p, link[1])
			}
		}
	}
}

// testName finds the names of tests, examples and benchmarks in the documentation.
var testName = regexp.MustCompile("`((?:Test|Example|Fuzz|Benchmark)[A-Za-z0-9_]*)(/[^`]*)?`")

// TestTidyNamedTestsExist: a proof that the documentation names must be there.
func TestTidyNamedTestsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, f := range goFiles(t) {
		for _, decl := range f.ast.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && f.test && d.Recv == nil {
				known[d.Name.Name] = true
			}
		}
	}
	for p, text := range texts(t, ".md") {
		for _, name := range testName.FindAllStringSubmatch(text, -1) {
			if !known[name[1]] {
				t.Errorf("%s names %s, which is not there", p, name[1])
			}
		}
	}
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// TestTidyProgramsCompile vets every whole program in the documentation.
func TestTidyProgramsCompile(t *testing.T) {
	t.Parallel()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var programs []string
	for p, text := range texts(t, ".md") {
		for i, block := range goBlock.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(block[1], "package main\n") {
				continue
			}
			name := fmt.Sprintf("%s-%d", strings.NewReplacer("/", "-", ".", "-").Replace(p), i+1)
			if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name, "main.go"), []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			programs = append(programs, name)
		}
	}
	if len(programs) == 0 {
		t.Skip("no whole program in the documentation")
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(mod), "module "+modulePath, "module docs", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %s\n", modulePath, modulePath, strconv.Quote(filepath.ToSlash(root)))
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600); err != nil {
		t.Fatal(err)
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-mod=mod", "./...")
	vet.Dir = dir
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("the programs %v do not compile: %v\n%s", programs, err, out)
	}
}
