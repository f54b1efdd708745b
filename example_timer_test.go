package lambdabiz_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A timer counts from when it was first recorded. Stop the process meanwhile, and it waits for the
// rest after the restart.
func ExampleSleep() {
	remind := lambdabiz.Define("Remind", func(o lambdabiz.Context, text string) (string, error) {
		if err := lambdabiz.Sleep(o, "pause", 20*time.Millisecond); err != nil {
			return "", err
		}
		return text, nil
	})

	ctx := context.Background()
	engine, stop := exampleWorker(remind)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, remind, "remind-1", "drink water")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output: drink water <nil>
}
