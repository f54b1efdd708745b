package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// A child is another orchestration with an id, a state and a history of its own.
func ExampleCallChild() {
	parcel := lambdabiz.Define("Parcel", func(o lambdabiz.Context, sku string) (string, error) {
		if sku == "" {
			return "", errors.New("nothing to send")
		}
		return o.ID() + " holds " + sku, nil
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, sku string) (string, error) {
		_, err := lambdabiz.CallChild(o, "empty", parcel, "")
		failed, ok := errors.AsType[*lambdabiz.OrchestrationError](err)
		if !ok {
			return "", fmt.Errorf("an empty parcel was sent: %w", err)
		}
		fmt.Println(failed.ID, failed.Status)
		return lambdabiz.CallChild(o, "parcel", parcel, sku)
	})

	ctx := context.Background()
	engine, stop := exampleWorker(order, parcel)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, order, "order-7", "tea")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output:
	// order-7~-empty FAILED
	// order-7~-parcel holds tea <nil>
}

// A definition cannot name itself in Go. By name it may start itself as a child.
func ExampleCallChildByName() {
	factorial := lambdabiz.Define("Factorial", func(o lambdabiz.Context, n int) (int, error) {
		if n < 2 {
			return 1, nil
		}
		rest, err := lambdabiz.CallChildByName[int](o, "rest", "Factorial", n-1)
		return n * rest, err
	})

	ctx := context.Background()
	engine, stop := exampleWorker(factorial)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, factorial, "factorial-5", 5)
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output: 120 <nil>
}

// A detached child goes on when its parent has ended.
func ExampleStartChild() {
	survey := lambdabiz.Define("Survey", func(o lambdabiz.Context, _ string) (string, error) {
		return lambdabiz.WaitForEvent[string](o, "Answer")
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, _ string) (string, error) {
		return lambdabiz.StartChild(o, "survey", survey, "", lambdabiz.ChildID("survey-7"))
	})

	ctx := context.Background()
	engine, stop := exampleWorker(order, survey)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, order, "order-7", "")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	if err := engine.RaiseEvent(ctx, "survey-7", "Answer", "fine tea"); err != nil {
		panic(err)
	}
	fmt.Println(lambdabiz.Get(engine, survey, "survey-7").Result(ctx))
	// Output:
	// survey-7 <nil>
	// fine tea <nil>
}
