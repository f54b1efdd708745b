package lambdabiz_test

import (
	"context"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// An endless loop keeps its history short by going on as a new run. Events that were not consumed move
// over, and Result follows.
func ExampleContinueAsNew() {
	counter := lambdabiz.Define("Counter", func(o lambdabiz.Context, count int) (int, error) {
		more, err := lambdabiz.WaitForEvent[int](o, "Add")
		if err != nil {
			return 0, err
		}
		if more == 0 {
			return count, nil
		}
		return 0, lambdabiz.ContinueAsNew(o, count+more)
	})

	ctx := context.Background()
	engine, stop := exampleWorker(counter)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, counter, "counter-1", 0)
	if err != nil {
		panic(err)
	}
	for _, more := range []int{5, 7, 0} {
		if err := engine.RaiseEvent(ctx, "counter-1", "Add", more); err != nil {
			panic(err)
		}
	}
	fmt.Println(run.Result(ctx))
	// Output: 12 <nil>
}
