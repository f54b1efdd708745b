package swf_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestALotOfInputFits: SWF takes 1 MB in a request.
func TestALotOfInputFits(t *testing.T) {
	t.Parallel()
	ids := make([]int, 60)
	for i := range ids {
		ids[i] = i
	}
	task := lambdabiz.NewTask("T", func(context.Context, string) (int, error) { return 1, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		got, err := lambdabiz.Map(o, "map", ids, strconv.Itoa, func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Call(o, "t", task, strings.Repeat("x", 25_000))
		})
		return len(got), err
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d, task)
		run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "R"); out != 60 {
			t.Error("the result is", out)
		}
	})
}
