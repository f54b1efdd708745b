package swf_test

import (
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestAQueueMayBeginAndEndWithASpace: SWF refuses such a list, and the decision with it.
func TestAQueueMayBeginAndEndWithASpace(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, in int) (int, error) { return in, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
		return lambdabiz.StartChild(o, "c", child, 7, lambdabiz.OnQueue(" q "))
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d, child)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if id := result(t, server, p.Engine, run, "R"); id != "R~-c" {
			t.Error("the child is", id)
		}
	})
}
