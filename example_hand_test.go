package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// Driven by hand, the caller's own code is the orchestration: no definition, no worker. It is called
// again after an interruption and goes on where it was. What is recorded does not run again.
func ExampleEngine_Create() {
	sum := lambdabiz.NewTask("Sum", func(_ context.Context, n []int) (int, error) {
		fmt.Println("adding", n)
		return n[0] + n[1], nil
	})
	backend := memory.New()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		panic(err)
	}

	handle := func(ctx context.Context) error {
		o, err := engine.Create(ctx, "Sequence3")
		if err != nil {
			return err
		}
		if err := o.Start("Workflow Started"); err != nil {
			return err
		}
		total, err := lambdabiz.Call(o, "Operation1", sum, []int{15, 5})
		if err != nil {
			return o.Fail(err)
		}
		approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
		if err != nil {
			return o.Fail(err) // ErrWaiting fails nothing: it is handed back
		}
		fmt.Println("approved:", approved)
		return o.Complete(total)
	}

	// The first call has a little time only, like a Lambda handler.
	short, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	fmt.Println("waits:", errors.Is(handle(short), lambdabiz.ErrWaiting))

	ctx := context.Background()
	if err := engine.RaiseEvent(ctx, "Sequence3", "Approve", true); err != nil {
		panic(err)
	}
	fmt.Println(handle(ctx))
	state, err := engine.State(ctx, "Sequence3")
	if err != nil {
		panic(err)
	}
	fmt.Println(state.Status, string(state.Result))
	// Output:
	// adding [15 5]
	// waits: true
	// approved: true
	// <nil>
	// SUCCEEDED 20
}
