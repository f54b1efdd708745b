package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A task is named work with a typed input and output. It runs at least once; its result is recorded
// exactly once, under the operation's id.
func ExampleCall() {
	charge := lambdabiz.NewTask("Charge", func(ctx context.Context, cents int) (string, error) {
		info, _ := lambdabiz.TaskInfoFrom(ctx)
		// Hand info.IdempotencyKey to the payment service: it is the same for every attempt.
		return fmt.Sprintf("%d cents by %s", cents, info.OperationID), nil
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, cents int) (string, error) {
		return lambdabiz.Call(o, "charge", charge, cents)
	})

	ctx := context.Background()
	engine, stop := exampleWorker(order, charge)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, order, "order-7", 1250)
	if err != nil {
		panic(err)
	}
	receipt, err := run.Result(ctx)
	fmt.Println(receipt, err)
	// Output: 1250 cents by charge <nil>
}

// By name, a task is called that is registered elsewhere in the program, or that the home performs.
// The type parameter is the output.
func ExampleCallTask() {
	greet := lambdabiz.NewTask("Greet", func(_ context.Context, name string) (string, error) {
		return "Hello, " + name, nil
	})
	welcome := lambdabiz.Define("Welcome", func(o lambdabiz.Context, name string) (string, error) {
		return lambdabiz.CallTask[string](o, "greet", "Greet", name)
	})

	ctx := context.Background()
	engine, stop := exampleWorker(welcome, greet)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, welcome, "welcome-ada", "Ada")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output: Hello, Ada <nil>
}

// Failed attempts are repeated with a backoff that survives a crash. An error marked as NonRetryable
// ends the attempts at once.
func ExampleRetry() {
	errClosed := errors.New("shop is closed")
	calls := 0
	flaky := lambdabiz.NewTask("Flaky", func(context.Context, string) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("connection refused")
		}
		return "ordered", nil
	})
	closed := lambdabiz.NewTask("Closed", func(context.Context, string) (string, error) {
		return "", lambdabiz.NonRetryable(errClosed)
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, item string) (string, error) {
		retry := lambdabiz.Retry(lambdabiz.Backoff{Attempts: 5, Initial: time.Millisecond})
		_, err := lambdabiz.Call(o, "first-shop", closed, item, retry, lambdabiz.Timeout(10*time.Second))
		if !errors.Is(err, errClosed) {
			return "", err
		}
		return lambdabiz.Call(o, "second-shop", flaky, item, retry, lambdabiz.Timeout(10*time.Second))
	})

	ctx := context.Background()
	// Registered, the sentinel keeps its identity in the record, for errors.Is.
	engine, stop := exampleWorker(order, flaky, closed, lambdabiz.ErrorValue("shop closed", errClosed))
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, order, "order-8", "tea")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	state, err := engine.State(ctx, "order-8")
	if err != nil {
		panic(err)
	}
	for _, op := range state.Operations {
		fmt.Println(op.ID, op.Status, op.Attempts)
	}
	// Output:
	// ordered <nil>
	// first-shop FAILED 1
	// second-shop SUCCEEDED 3
}

// A long task reports that it lives. The next attempt finds the details of the last report, and may
// go on from there.
func ExampleHeartbeat() {
	copyRows := lambdabiz.NewTask("CopyRows", func(ctx context.Context, rows int) (int, error) {
		first := 0
		if info, ok := lambdabiz.TaskInfoFrom(ctx); ok && info.Details != nil {
			if err := info.DecodeDetails(&first); err != nil {
				return 0, err
			}
		}
		fmt.Println("from row", first)
		for row := first; row < rows; row++ {
			if err := lambdabiz.Heartbeat(ctx, row); err != nil {
				return 0, err
			}
			if first == 0 && row == 3 {
				return 0, errors.New("connection lost")
			}
		}
		return rows, nil
	})
	move := lambdabiz.Define("Move", func(o lambdabiz.Context, rows int) (int, error) {
		return lambdabiz.Call(o, "copy", copyRows, rows,
			lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Millisecond}),
			lambdabiz.HeartbeatTimeout(time.Minute))
	})

	ctx := context.Background()
	engine, stop := exampleWorker(move, copyRows)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, move, "move-1", 10)
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output:
	// from row 0
	// from row 3
	// 10 <nil>
}

// An error type that is registered is found by errors.As after any restart, with its fields.
func ExampleErrorType() {
	ship := lambdabiz.NewTask("Ship", func(_ context.Context, item string) (string, error) {
		return "", &outOfStockError{Item: item, Days: 3}
	})
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, item string) (string, error) {
		_, err := lambdabiz.Call(o, "ship", ship, item)
		if out, ok := errors.AsType[*outOfStockError](err); ok {
			return fmt.Sprintf("%s: back in %d days", out.Item, out.Days), nil
		}
		return "", err
	})

	ctx := context.Background()
	engine, stop := exampleWorker(order, ship, lambdabiz.ErrorType[*outOfStockError]("out of stock"))
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, order, "order-9", "tea")
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output: tea: back in 3 days <nil>
}

type outOfStockError struct {
	Item string
	Days int
}

func (e *outOfStockError) Error() string { return e.Item + " is out of stock" }
