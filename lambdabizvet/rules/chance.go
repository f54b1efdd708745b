package rules

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// Clock finds orchestration code that reads the clock.
var Clock = newAnalyzer("clock", `find orchestration code that reads the clock

Code between operations runs again after an interruption, at another time: what it decides by the clock then differs from
what it decided before. Read the clock in a step, whose result is recorded, or wait with lambdabiz.Sleep. The clock
may be read for a line of a log, and for the point in time that SleepUntil is given, since the first one counts.`,
	func(c *checked) {
		c.findSources(isClock, "it runs again later, and decides otherwise then: read it in a step, whose result is recorded")
	})

// Chance finds orchestration code that draws a random number.
var Chance = newAnalyzer("chance", `find orchestration code that depends on chance

Code between operations runs again after an interruption, and draws another number or another id then. Draw it in a
step, whose result is recorded. A generator that is made from a recorded seed is fine.`,
	func(c *checked) {
		c.findSources(isChance, "it runs again with another outcome: draw it in a step, whose result is recorded")
	})

func isClock(f *types.Func) string {
	if isFrom(f, "time", "Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep") {
		return "time." + f.Name()
	}
	return ""
}

// uuids are the functions of packages uuid that make another id each time.
var uuids = []string{"New", "NewString", "NewRandom", "NewUUID", "NewV1", "NewV4", "NewV6", "NewV7"}

func isChance(f *types.Func) string {
	if f == nil || f.Pkg() == nil || f.Signature().Recv() != nil {
		return ""
	}
	switch path := f.Pkg().Path(); {
	case path == "math/rand", path == "math/rand/v2":
		if strings.HasPrefix(f.Name(), "New") {
			return ""
		}
	case path == "crypto/rand":
	case strings.HasSuffix(path, "/uuid"):
		if !slices.Contains(uuids, f.Name()) {
			return "" // those of a name or of bytes are the same each time
		}
	default:
		return ""
	}
	return f.Pkg().Name() + "." + f.Name()
}

// findSources reports the calls in orchestration code of functions that is returns a name for, and of functions of this
// package that return what they have got from such a call.
func (c *checked) findSources(is func(*types.Func) string, why string) {
	through := c.passesOn(is)
	c.each([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node, around []ast.Node) {
		call, _ := n.(*ast.CallExpr)
		if c.zoneIn(around) != orchestration || c.onlyShown(around) {
			return
		}
		f := c.callee(call)
		if name := is(f); name != "" {
			c.reportf(call, "orchestration code calls %s: %s", name, why)
		} else if source := through[f]; source != "" {
			c.reportf(call, "orchestration code calls %s, which calls %s: %s", f.Name(), source, why)
		}
	})
}

// passesOn are the functions of this package that are no orchestration code and may return what a source has given them, each
// with the name of the source.
func (c *checked) passesOn(is func(*types.Func) string) map[*types.Func]string {
	calls := map[*types.Func][]*types.Func{}
	through := map[*types.Func]string{}
	c.each([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node, around []ast.Node) {
		call, _ := n.(*ast.CallExpr)
		i := slices.IndexFunc(around, func(n ast.Node) bool { _, ok := n.(*ast.FuncDecl); return ok })
		if i < 0 || c.onlyShown(around) {
			return
		}
		decl, _ := around[i].(*ast.FuncDecl)
		if z, _ := c.zoneOf(decl); z != outside || decl.Type.Results == nil {
			return
		}
		in, _ := c.TypesInfo.Defs[decl.Name].(*types.Func)
		f := c.callee(call)
		if name := is(f); name != "" {
			through[in] = name
		} else if f != nil && f.Pkg() == c.Pkg {
			calls[in] = append(calls[in], f)
		}
	})
	for again := true; again; {
		again = false
		for f, called := range calls {
			for _, g := range called {
				if through[f] == "" && through[g] != "" {
					through[f], again = through[g], true
				}
			}
		}
	}
	return through
}

// onlyShown reports whether the innermost function around has the nodes in it as an argument of a call that prints or logs, or
// as the time of a timer.
func (c *checked) onlyShown(around []ast.Node) bool {
	for _, n := range slices.Backward(around) {
		switch n := n.(type) {
		case *ast.FuncLit, *ast.FuncDecl:
			return false
		case *ast.CallExpr:
			f := c.callee(n)
			if f == nil || f.Pkg() == nil {
				continue
			}
			switch path := f.Pkg().Path(); {
			case path == "log", path == "log/slog", isFrom(f, library, "SleepUntil"):
				return true
			case path == "fmt" && (strings.HasPrefix(f.Name(), "Print") || strings.HasPrefix(f.Name(), "Fprint")):
				return true
			}
		}
	}
	return false
}
