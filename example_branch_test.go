package lambdabiz_test

import (
	"context"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// Go begins a branch: concurrent code with operations in it. A branch uses its own context, in which
// ids have their own scope, and hands its value on through Wait.
func ExampleGo() {
	quote := lambdabiz.NewTask("Quote", func(_ context.Context, shop string) (int, error) {
		return map[string]int{"north": 12, "south": 9}[shop], nil
	})
	cheapest := lambdabiz.Define("Cheapest", func(o lambdabiz.Context, _ string) (int, error) {
		north := lambdabiz.Go(o, "north", func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Call(o, "quote", quote, "north")
		})
		south := lambdabiz.Go(o, "south", func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Call(o, "quote", quote, "south")
		})
		a, err := north.Wait(o)
		if err != nil {
			return 0, err
		}
		b, err := south.Wait(o)
		if err != nil {
			return 0, err
		}
		return min(a, b), nil
	})

	ctx := context.Background()
	engine, stop := exampleWorker(cheapest, quote)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, cheapest, "tea", "")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output: 9 <nil>
}
