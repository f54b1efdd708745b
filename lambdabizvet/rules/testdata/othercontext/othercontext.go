package othercontext

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func helper(o lambdabiz.Context, id string) error { return lambdabiz.Sleep(o, id, time.Second) }

func bad(o lambdabiz.Context, in []string) error {
	f := lambdabiz.Go(o, "branch", func(b lambdabiz.Context) (int, error) {
		return 0, helper(o, "x") // want "the branch has a context of its own, b, and uses that of the code around it, o"
	})
	g := lambdabiz.Go(o, "other", func(lambdabiz.Context) (int, error) {
		return f.Wait(o) // want "which it does not name"
	})
	_, err := g.Wait(o)
	return err
}

func good(o lambdabiz.Context, in []string) error {
	f := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) {
		inner := lambdabiz.Go(o, "inner", func(b lambdabiz.Context) (int, error) { return 0, helper(lambdabiz.Detached(b), "x") })
		return inner.Wait(o)
	})
	_, err := f.Wait(o)
	return err
}
