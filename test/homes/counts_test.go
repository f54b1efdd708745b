package homes_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

// uncounted is a home that lists only.
type uncounted struct{ lambdabiz.Backend }

// Runs are counted by their status, by homes that count, and by lists elsewhere, and the answers are the same.
func TestRunsAreCountedByStatus(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) {
			if n%3 == 0 {
				return 0, fmt.Errorf("broken")
			}
			if n%3 == 1 {
				return lambdabiz.WaitForEvent[int](o, "e")
			}
			return n, nil
		})
		e, stop := b.worker(d)
		for n := range 9 {
			start(b, e, d, fmt.Sprint("x", n), n)
		}
		b.settle()
		stop()
		lister, err := lambdabiz.New(uncounted{b.backend}, lambdabiz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range map[string]lambdabiz.Filter{
			"all": {Limit: 1, Cursor: "no cursor"}, "some": {IDPrefix: "x1"}, "none": {Name: "E"},
		} {
			want := map[string]map[lambdabiz.Status]int{
				"all":  {lambdabiz.StatusFailed: 3, lambdabiz.StatusStarted: 3, lambdabiz.StatusSucceeded: 3},
				"some": {lambdabiz.StatusStarted: 1},
				"none": {},
			}[name]
			for how, engine := range map[string]*lambdabiz.Engine{"counted": e, "listed": lister} {
				counts, err := engine.Counts(b.ctx, f)
				if err != nil || !maps.Equal(counts, want) {
					t.Errorf("%s, %s: %v, %v, want %v", name, how, counts, err, want)
				}
			}
		}
	}, "memory", "sqlite")
}
