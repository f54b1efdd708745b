package lambdabiz_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// A resolver performs tasks by names that are not registered: here commands of another program.
func ExampleNewTaskResolver() {
	remote := lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
		command, ok := strings.CutPrefix(name, "shop/")
		if !ok {
			return nil // for the next resolver; without one the run is blocked
		}
		return func(ctx context.Context, in lambdabiz.Payload) (lambdabiz.Payload, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			// Send command, in and info.IdempotencyKey to the other program.
			return lambdabiz.Payload(fmt.Sprintf("%q", command+" "+string(in)+" for "+info.OperationID)), nil
		}
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, cents int) (string, error) {
		return lambdabiz.CallTask[string](o, "charge", "shop/charge", cents)
	})

	ctx := context.Background()
	engine, stop := exampleWorker(order, remote)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, order, "order-7", 1250)
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output: charge 1250 for charge <nil>
}
