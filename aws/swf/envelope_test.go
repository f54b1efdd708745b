package swf_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestAResultThatLooksLikeAnEnvelopeStaysWhatItIs: of a task, of a child and of a run.
func TestAResultThatLooksLikeAnEnvelopeStaysWhatItIs(t *testing.T) {
	t.Parallel()
	type odd struct {
		Version int `json:"lambdabiz"`
		Left    string
	}
	task := lambdabiz.NewTask("Odd", func(context.Context, int) (odd, error) { return odd{1, "task"}, nil })
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, _ int) (odd, error) { return odd{1, "child"}, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (odd, error) {
		a, err := lambdabiz.Call(o, "t", task, 0)
		if err != nil {
			return a, err
		}
		b, err := lambdabiz.CallChild(o, "c", child, 0)
		return odd{1, a.Left + " " + b.Left}, err
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d, child, task)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "R"); out != (odd{1, "task child"}) {
			t.Errorf("the result is %+v", out)
		}
	})
}
