package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// twinPrefix begins the name of every sabotage twin.
const twinPrefix = "TestSabotage"

// campaignPath is the package by which fault tests report.
const campaignPath = "github.com/lambdabiz/lambdabiz/test/campaign"

// tested is a package with the tests of it that are wanted.
type tested struct {
	path  string
	tests []string
}

// listed is what the go command says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	TestGoFiles  []string
	XTestGoFiles []string
	TestImports  []string
	XTestImports []string
}

// find asks the go command for the packages, and their test files for the tests.
func (o *options) find(ctx context.Context) ([]tested, error) {
	args := append([]string{"list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles,TestImports,XTestImports"}, o.packages...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // packages that a developer names
	cmd.Dir = o.dir
	text, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("list packages: %w: %s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	wanted, err := regexp.Compile(o.run)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var found []tested
	for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		if p.ImportPath == campaignPath || !o.sabotage && !slices.Contains(append(p.TestImports, p.XTestImports...), campaignPath) {
			continue
		}
		names, err := p.tests(o.sabotage)
		if err != nil {
			return nil, err
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !wanted.MatchString(name) || !o.isOf(p.ImportPath, name) })
		if len(names) > 0 {
			found = append(found, tested{p.ImportPath, names})
		}
	}
}

// isOf reports whether a test is about the home that is wanted.
func (o *options) isOf(pkg, name string) bool {
	return short(pkg) == o.backend || strings.Contains(strings.ToLower(name), strings.ToLower(o.backend))
}

// tests returns the package's twins, or those of its tests from which a call of campaign.Report can be reached.
func (p *listed) tests(twins bool) ([]string, error) {
	calls := map[string][]string{} // by function or method: the names that it mentions
	var names []string
	for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read tests: %w", err)
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			calls[f.Name.Name] = append(calls[f.Name.Name], mentioned(f.Body)...)
			if f.Recv == nil && isTest(f.Name.Name) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		if twin := strings.HasPrefix(name, twinPrefix); twins || twin {
			return twin != twins
		}
		return !reaches(calls, name, map[string]bool{})
	}), nil
}

func isTest(name string) bool { return strings.HasPrefix(name, "Test") && name != "TestMain" }

// reportCall stands for a call of campaign.Report.
const reportCall = "campaign.Report"

// mentioned returns the names that a body has: of functions, and of methods, whatever they belong to.
func mentioned(body *ast.BlockStmt) []string {
	var names []string
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "campaign" {
				if n.Sel.Name == "Report" {
					names = append(names, reportCall)
				}
				return false
			}
			names = append(names, n.Sel.Name)
		case *ast.Ident:
			names = append(names, n.Name)
		}
		return true
	})
	return names
}

// reaches reports whether campaign.Report can be reached from a function.
func reaches(calls map[string][]string, from string, seen map[string]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	return slices.ContainsFunc(calls[from], func(name string) bool {
		return name == reportCall || reaches(calls, name, seen)
	})
}
