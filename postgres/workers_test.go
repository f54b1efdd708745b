package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

// Two workers, each with a definition that only it knows, work for each other: orders wait for bills, and bills tell orders.
func TestTwoWorkersWorkForEachOther(t *testing.T) {
	t.Parallel()
	const orders = 20
	url := database(t)
	var bodies atomic.Int64
	bill := lambdabiz.Define("Bill", func(o lambdabiz.Context, order string) (string, error) {
		number, err := lambdabiz.Step(o, "number", func(context.Context) (string, error) {
			bodies.Add(1)
			return "bill of " + order, nil
		})
		if err == nil {
			err = lambdabiz.RaiseEvent(o, "tell", order, "billed", number)
		}
		return number, err
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, id string) (string, error) {
		if _, err := lambdabiz.CallChildByName[string](o, "bill", "Bill", id); err != nil {
			return "", err
		}
		billed, err := lambdabiz.WaitForEvent[string](o, "billed")
		if err != nil {
			return "", err
		}
		return lambdabiz.Step(o, "ship", func(context.Context) (string, error) {
			bodies.Add(1)
			return "shipped, " + billed, nil
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	var client *lambdabiz.Engine
	for _, d := range []lambdabiz.Registrable{bill, order} {
		engine, err := lambdabiz.New(open(t, url), lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Register(d); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- engine.Run(ctx) }()
		client = engine
	}
	for i := range orders {
		if _, err := lambdabiz.Start(t.Context(), client, order, fmt.Sprint("order-", i), fmt.Sprint("order-", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range orders {
		id := fmt.Sprint("order-", i)
		run := lambdabiz.Get(client, order, id)
		if got, err := run.Result(t.Context()); got != "shipped, bill of "+id || err != nil {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if n := bodies.Load(); n != 2*orders {
		t.Errorf("%d bodies ran, want %d", n, 2*orders)
	}
}
