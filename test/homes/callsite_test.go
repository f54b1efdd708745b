package homes_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A blocked run whose branch ran the library's own code, as GoChild, Map and WaitForAnyEvent have it, named no line; nor
// did one whose code ended its goroutine between two operations.
// Row 182 of docs/proof/bugs.md.
func TestWhatIsBlockedNamesItsLine(t *testing.T) {
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, in int) (int, error) {
		return in, lambdabiz.Sleep(o, "s", time.Second)
	})
	recorded := func(o lambdabiz.Context, _ int) error {
		_, err := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) {
			return 0, lambdabiz.Do(o, "item", func(context.Context) error { return nil })
		}).Wait(o)
		return err
	}
	for name, code := range map[string][2]func(o lambdabiz.Context, in int) error{
		"a renamed child": {
			func(o lambdabiz.Context, in int) error {
				_, err := lambdabiz.GoChild(o, "a", child, in).Wait(o)
				return err
			},
			func(o lambdabiz.Context, in int) error {
				_, err := lambdabiz.GoChild(o, "b", child, in).Wait(o)
				return err
			},
		},
		"an item of a Map where an operation was": {recorded, func(o lambdabiz.Context, _ int) error {
			_, err := lambdabiz.Map(o, "branch", []string{"item"}, func(s string) string { return s },
				func(lambdabiz.Context, string) (int, error) { return 0, nil })
			return err
		}},
		"one of several events where a step was": {
			func(o lambdabiz.Context, _ int) error {
				_, err := lambdabiz.Go(o, "any:Some", func(o lambdabiz.Context) (int, error) {
					return 0, lambdabiz.Do(o, "event", func(context.Context) error { return nil })
				}).Wait(o)
				return err
			},
			func(o lambdabiz.Context, _ int) error {
				_, _, err := lambdabiz.WaitForAnyEvent[int](o, "any", []string{"Some", "Other"})
				return err
			},
		},
		"a function that ends its goroutine": {recorded, func(lambdabiz.Context, int) error { runtime.Goexit(); return nil }},
		"a branch that ends its goroutine": {recorded, func(o lambdabiz.Context, _ int) error {
			_, err := lambdabiz.Go(o, "x", func(lambdabiz.Context) (int, error) { runtime.Goexit(); return 0, nil }).Wait(o)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				e, _ := changes(b, 1, changing(code[0]), changing(code[1]), child)
				s := b.state(e, "x0")
				if s.Blocked == nil || !sourceLine.MatchString(s.Blocked.Source) {
					t.Errorf("it is not blocked, or no line is named: %+v", s.Blocked)
				}
			})
		})
	}
}
