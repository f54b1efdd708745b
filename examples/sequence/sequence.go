package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Input is what the sequence starts with. It is recorded as JSON.
type Input struct {
	Numbers  Numbers
	CoolDown time.Duration // of 30SecTimer
}

// Numbers are what the five tasks compute with.
type Numbers struct{ Number1, Number2 int }

// OperationResult is what a task made of the numbers.
type OperationResult struct {
	Number1, Number2 int
	Result           float64
}

// sequence computes with five tasks, waits for a timer, and waits for somebody's approval. It is the same code whether a
// worker runs it as a definition or its caller drives it by hand.
func sequence(o lambdabiz.Context, in Input) (OperationResult, error) {
	var none OperationResult
	a, err := lambdabiz.Call(o, "Operation1", number, in.Numbers)
	if err != nil {
		return none, err
	}
	if _, err := lambdabiz.Call(o, "Operation2", sum, a); err != nil {
		return none, err
	}
	if _, err := lambdabiz.Call(o, "Operation3", difference, a); err != nil {
		return none, err
	}
	if _, err := lambdabiz.Call(o, "Operation4", product, a); err != nil {
		return none, err
	}
	e, err := lambdabiz.Call(o, "Operation5", quotient, a)
	if err != nil {
		return none, err
	}
	if err := lambdabiz.Sleep(o, "30SecTimer", in.CoolDown); err != nil {
		return none, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
	if err != nil {
		return none, err
	}
	if !approved {
		return none, errors.New("not approved")
	}
	return e, nil
}

// definition is the sequence for workers. Driven by hand it needs none.
var definition = lambdabiz.Define("Sequence", sequence)

// The tasks. They are pure here; real ones have effects, and run at least once.
var (
	number = lambdabiz.NewTask("Number", func(ctx context.Context, n Numbers) (Numbers, error) {
		return n, work(ctx, "Number")
	})
	sum = lambdabiz.NewTask("Sum", func(ctx context.Context, n Numbers) (OperationResult, error) {
		return result(n, float64(n.Number1)+float64(n.Number2)), work(ctx, "Sum")
	})
	difference = lambdabiz.NewTask("Difference", func(ctx context.Context, n Numbers) (OperationResult, error) {
		return result(n, float64(n.Number1)-float64(n.Number2)), work(ctx, "Difference")
	})
	product = lambdabiz.NewTask("Product", func(ctx context.Context, n Numbers) (OperationResult, error) {
		return result(n, float64(n.Number1)*float64(n.Number2)), work(ctx, "Product")
	})
	quotient = lambdabiz.NewTask("Quotient", func(ctx context.Context, n Numbers) (OperationResult, error) {
		if n.Number2 == 0 {
			return OperationResult{}, errors.New("cannot divide by 0")
		}
		return result(n, float64(n.Number1)/float64(n.Number2)), work(ctx, "Quotient")
	})
)

func result(n Numbers, r float64) OperationResult { return OperationResult{n.Number1, n.Number2, r} }

// pace is how long a task takes, so that there is time to kill the program.
var pace time.Duration

func work(ctx context.Context, task string) error {
	fmt.Printf("%-12s %s works\n", "", task)
	select {
	case <-time.After(pace):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
