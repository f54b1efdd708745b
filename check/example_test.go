package check_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/check"
)

// The new code has renamed "charge". One order is in flight, which has paid already.
func ExampleRun() {
	export := strings.NewReader(`{"id": "order-7", "name": "Order", "mode": "worker", "status": "STARTED", "input": 450, ` +
		`"operations": [{"id": "charge", "kind": "TASK", "name": "Charge", "status": "SUCCEEDED", "attempts": 1, ` +
		`"input": 450, "result": "payment-1", "scheduledAt": "2026-11-30T09:00:00Z"}]}`)
	charge := lambdabiz.NewTask("Charge", func(context.Context, int) (string, error) { return "", nil })
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, cents int) (string, error) {
		payment, err := lambdabiz.Call(o, "charge-card", charge, cents)
		if err != nil {
			return "", err
		}
		_, err = lambdabiz.WaitForEvent[bool](o, "Approve")
		return payment, err
	})
	table, err := check.Run(context.Background(), export, check.Config{}, order, charge)
	if err != nil {
		panic(err)
	}
	fmt.Println(table.Fits())
	for _, r := range table {
		fmt.Println(r.ID, r.Repeated)
	}
	// Output:
	// false
	// order-7 [charge-card  TASK "Charge"  as charge, SUCCEEDED]
}
