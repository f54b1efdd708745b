package lambdabiz_test

import (
	"context"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// An operation is found by its id: under another one it would have its effect again. Formerly says under which
// id it was recorded before.
func ExampleFormerly() {
	charge := lambdabiz.NewTask("Charge", func(_ context.Context, cents int) (string, error) {
		fmt.Println("charging", cents)
		return "payment-1", nil
	})
	charged := make(chan bool, 1)
	before := lambdabiz.Define("Order", func(o lambdabiz.Context, cents int) (string, error) {
		payment, err := lambdabiz.Call(o, "charge", charge, cents)
		if err != nil {
			return "", err
		}
		charged <- true
		_, err = lambdabiz.WaitForEvent[bool](o, "Approve")
		return payment, err
	})
	after := lambdabiz.Define("Order", func(o lambdabiz.Context, cents int) (string, error) {
		payment, err := lambdabiz.Call(o, "charge-card", charge, cents, lambdabiz.Formerly("charge"))
		if err != nil {
			return "", err
		}
		_, err = lambdabiz.WaitForEvent[bool](o, "Approve")
		return payment, err
	})
	backend := memory.New()
	ctx := context.Background()

	engine, stop := exampleWorkerOn(backend, before, charge)
	if _, err := lambdabiz.Start(ctx, engine, before, "order-7", 450); err != nil {
		panic(err)
	}
	<-charged
	stop()

	engine, stop = exampleWorkerOn(backend, after, charge)
	defer stop()
	if err := engine.RaiseEvent(ctx, "order-7", "Approve", true); err != nil {
		panic(err)
	}
	fmt.Println(lambdabiz.Get(engine, after, "order-7").Result(ctx))
	// Output:
	// charging 450
	// payment-1 <nil>
}
