package swf_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestALongTimeIsNoHindrance: SWF takes times of eight digits.
func TestALongTimeIsNoHindrance(t *testing.T) {
	t.Parallel()
	task := lambdabiz.NewTask("T", func(context.Context, int) (int, error) { return 7, nil })
	for name, c := range map[string]struct {
		call  []lambdabiz.CallOption
		start []lambdabiz.StartOption
	}{
		"attempt of ten years":   {call: []lambdabiz.CallOption{lambdabiz.Timeout(87600 * time.Hour)}},
		"attempt without end":    {call: []lambdabiz.CallOption{lambdabiz.Timeout(math.MaxInt64)}},
		"operation of ten years": {call: []lambdabiz.CallOption{lambdabiz.Deadline(87600 * time.Hour)}},
		"run of ten years":       {start: []lambdabiz.StartOption{lambdabiz.Deadline(87600 * time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				return lambdabiz.Call(o, "t", task, 0, c.call...)
			})
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				p := client(t, configFor(server)).workOn(d, task)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, append(c.start, lambdabiz.OnUsedID(lambdabiz.RejectOpen))...)
				if err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); out != 7 {
					t.Error("the result is", out)
				}
			})
		})
	}
}
