package lambdabiz_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Race records which of several branches ended first, and cancels the others in the same commit: the
// answer that comes after the reminder is not eaten by the wait that lost.
func ExampleRace() {
	ask := lambdabiz.Define("Ask", func(o lambdabiz.Context, question string) (string, error) {
		answer := lambdabiz.Go(o, "answer", func(o lambdabiz.Context) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "Answer")
		})
		patience := lambdabiz.Go(o, "patience", func(o lambdabiz.Context) (struct{}, error) {
			return struct{}{}, lambdabiz.Sleep(o, "an-hour", time.Hour)
		})
		first, err := lambdabiz.Race(o, "first", answer, patience)
		if err != nil {
			return "", err
		}
		if first == 1 {
			return question + " No answer.", nil
		}
		text, err := answer.Wait(o)
		return question + " " + text, err
	})

	ctx := context.Background()
	engine, stop := exampleWorker(ask)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, ask, "ask-1", "Tea?")
	if err != nil {
		panic(err)
	}
	if err := engine.RaiseEvent(ctx, "ask-1", "Answer", "Yes."); err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output:
	// Tea? Yes. <nil>
}
