package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// WaitForAnyEvent waits for whatever comes first: an approval, a withdrawal, or the end of the month. An orchestration that
// has decided so ends itself as CANCELLED.
func ExampleWaitForAnyEvent() {
	request := lambdabiz.Define("Request", func(o lambdabiz.Context, endOfMonth time.Time) (string, error) {
		event, by, err := lambdabiz.WaitForAnyEvent[string](o, "decision", []string{"Approve", "Withdraw"}, lambdabiz.Until(endOfMonth))
		var late *lambdabiz.EventTimeoutError
		switch {
		case errors.As(err, &late):
			return "nobody has decided", nil
		case err != nil:
			return "", err
		case event == "Withdraw":
			return "", lambdabiz.EndCancelled("withdrawn by " + by)
		}
		return "approved by " + by, nil
	})

	ctx := context.Background()
	engine, stop := exampleWorker(request)
	defer stop()
	month := time.Now().AddDate(0, 1, 0)
	for _, event := range []string{"Approve", "Withdraw"} {
		run, err := lambdabiz.Start(ctx, engine, request, "request-"+event, month)
		if err != nil {
			panic(err)
		}
		if err := run.Raise(ctx, event, "Ann"); err != nil {
			panic(err)
		}
		result, err := run.Result(ctx)
		fmt.Println(result, err)
	}
	// Output:
	// approved by Ann <nil>
	//  orchestration request-Withdraw (Request) CANCELLED: withdrawn by Ann
}
