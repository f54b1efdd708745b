package lambdabiz_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A step is unnamed work inline: an effect, or a decision that must stay the same when the code runs
// again, like the time, a random number or a new id.
func ExampleStep() {
	type Invoice struct {
		Item string
		Due  time.Time
	}
	bill := lambdabiz.Define("Bill", func(o lambdabiz.Context, item string) (Invoice, error) {
		today, err := lambdabiz.Step(o, "today", func(context.Context) (time.Time, error) {
			return time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC), nil // time.Now() in earnest
		})
		if err != nil {
			return Invoice{}, err
		}
		invoice := Invoice{item, today.AddDate(0, 0, 14)}
		err = lambdabiz.Do(o, "print", func(context.Context) error {
			fmt.Println("printing the invoice for", invoice.Item)
			return nil
		})
		return invoice, err
	})

	ctx := context.Background()
	engine, stop := exampleWorker(bill)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, bill, "bill-1", "tea")
	if err != nil {
		panic(err)
	}
	invoice, err := run.Result(ctx)
	fmt.Println(invoice.Due.Format(time.DateOnly), err)
	// Output:
	// printing the invoice for tea
	// 2030-01-15 <nil>
}
