package swf_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// TestAProcessForgetsRunsThatHaveEnded: what it remembered grew with each orchestration.
func TestAProcessForgetsRunsThatHaveEnded(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return 1, lambdabiz.Sleep(o, "nap", time.Second) })
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		c := configFor(server)
		c.Store = memory.NewStore()
		p := client(t, c).workOn(d)
		var kept []map[string]int
		for round := range 2 {
			for i := range 20 {
				o, err := p.Create(t.Context(), fmt.Sprint("hand ", round, i))
				if err != nil {
					t.Fatal(err)
				}
				if err := o.Start("go"); err != nil {
					t.Fatal(err)
				}
				if err := o.Complete(1); err != nil {
					t.Fatal(err)
				}
				id := fmt.Sprint("run ", round, i)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, id, 0)
				if err != nil {
					t.Fatal(err)
				}
				result(t, server, p.Engine, run, id)
			}
			<-time.After(5 * time.Minute)
			kept = append(kept, p.backend.Kept())
		}
		for what, n := range kept[0] {
			if max(n, kept[1][what]) > 3 { // the worker's list is there while it is asked for
				t.Errorf("%s: %d, then %d", what, n, kept[1][what])
			}
		}
	})
}
