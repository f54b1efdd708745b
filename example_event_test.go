package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// An event is a named message from outside. It is stored when RaiseEvent returns, and consumed once,
// whether it comes before the wait or after it.
func ExampleWaitForEvent() {
	type Approval struct {
		By string
		OK bool
	}
	request := lambdabiz.Define("Request", func(o lambdabiz.Context, what string) (string, error) {
		approval, err := lambdabiz.WaitForEvent[Approval](o, "Approve", lambdabiz.Timeout(72*time.Hour))
		switch {
		case errors.Is(err, context.DeadlineExceeded): // an *EventTimeoutError
			return what + ": nobody answered", nil
		case err != nil:
			return "", err
		case !approval.OK:
			return what + ": refused by " + approval.By, nil
		}
		return what + ": approved by " + approval.By, nil
	})

	ctx := context.Background()
	engine, stop := exampleWorker(request)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, request, "request-1", "new chairs")
	if err != nil {
		panic(err)
	}
	// With a key the sender may repeat the event: the second one is acknowledged and does nothing.
	for range 2 {
		err := engine.RaiseEvent(ctx, "request-1", "Approve", Approval{"Ada", true}, lambdabiz.Key("mail-17"))
		if err != nil {
			panic(err)
		}
	}
	fmt.Println(run.Result(ctx))
	// Output: new chairs: approved by Ada <nil>
}

// An orchestration raises an event in another one. The event and the sender's progress are recorded
// together.
func ExampleRaiseEvent() {
	kitchen := lambdabiz.Define("Kitchen", func(o lambdabiz.Context, table string) (string, error) {
		return "served", lambdabiz.RaiseEvent(o, "ring", table, "Served", "soup")
	})
	table := lambdabiz.Define("Table", func(o lambdabiz.Context, _ string) (string, error) {
		// The operation's id and the event's name may differ.
		return lambdabiz.WaitForEvent[string](o, "first-course", lambdabiz.Named("Served"))
	})

	ctx := context.Background()
	engine, stop := exampleWorker(kitchen, table)
	defer stop()
	guest, err := lambdabiz.Start(ctx, engine, table, "table-4", "")
	if err != nil {
		panic(err)
	}
	if _, err := lambdabiz.Start(ctx, engine, kitchen, "kitchen", "table-4"); err != nil {
		panic(err)
	}
	fmt.Println(guest.Result(ctx))
	// Output: soup <nil>
}
