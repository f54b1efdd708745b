package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A cancellation is durable and cooperative: waits return ErrCancelled, and the code cleans up under
// Detached before it ends.
func ExampleDetached() {
	rent := lambdabiz.Define("Rent", func(o lambdabiz.Context, car string) (string, error) {
		err := lambdabiz.Sleep(o, "until-return", 72*time.Hour)
		if errors.Is(err, lambdabiz.ErrCancelled) {
			giveBack := func(context.Context) error {
				fmt.Println("giving back", car)
				return nil
			}
			if err := lambdabiz.Do(lambdabiz.Detached(o), "give-back", giveBack); err != nil {
				return "", err
			}
		}
		return car, err
	})

	ctx := context.Background()
	engine, stop := exampleWorker(rent)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, rent, "rent-1", "the red one")
	if err != nil {
		panic(err)
	}
	if err := engine.Cancel(ctx, "rent-1", "the customer is ill"); err != nil {
		panic(err)
	}
	_, err = run.Result(ctx)
	fmt.Println(errors.Is(err, lambdabiz.ErrCancelled))
	state, err := engine.State(ctx, "rent-1")
	if err != nil {
		panic(err)
	}
	fmt.Println(state.Status)
	// Output:
	// giving back the red one
	// true
	// CANCELLED
}
