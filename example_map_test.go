package lambdabiz_test

import (
	"context"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// Map works on many items at the same time, each in a branch of its own. The key, not the position,
// gives an item its id: the order of the items may change while the orchestration is in flight.
func ExampleMap() {
	ship := lambdabiz.NewTask("Ship", func(_ context.Context, sku string) (int, error) {
		return len(sku), nil
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, skus []string) (int, error) {
		bySKU := func(sku string) string { return sku }
		weights, err := lambdabiz.Map(o, "ship", skus, bySKU, func(o lambdabiz.Context, sku string) (int, error) {
			return lambdabiz.Call(o, "parcel", ship, sku)
		}, lambdabiz.Concurrency(5))
		if err != nil {
			return 0, err
		}
		total := 0
		for _, weight := range weights {
			total += weight
		}
		return total, nil
	})

	ctx := context.Background()
	engine, stop := exampleWorker(order, ship)
	defer stop()
	var skus []string
	for i := range 20 {
		skus = append(skus, fmt.Sprintf("sku-%02d", i))
	}
	run, err := lambdabiz.Start(ctx, engine, order, "order-7", skus)
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	state, err := engine.State(ctx, "order-7")
	if err != nil {
		panic(err)
	}
	fmt.Println(len(state.Operations), "operations")
	// Output:
	// 120 <nil>
	// 20 operations
}
