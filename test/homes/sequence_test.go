package homes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

type numbers struct{ Number1, Number2 int }

type operationResult struct {
	Number1, Number2 int
	Result           float64
}

func compute(name string, f func(a, b float64) float64) *lambdabiz.Task[numbers, operationResult] {
	return lambdabiz.NewTask(name, func(_ context.Context, n numbers) (operationResult, error) {
		return operationResult{n.Number1, n.Number2, f(float64(n.Number1), float64(n.Number2))}, nil
	})
}

var (
	number = lambdabiz.NewTask("Number", func(_ context.Context, n numbers) (numbers, error) { return n, nil })
	sum    = compute("Sum", func(a, b float64) float64 { return a + b })
	div    = compute("Quotient", func(a, b float64) float64 { return a / b })

	sequence = lambdabiz.Define("Sequence", func(o lambdabiz.Context, in numbers) (operationResult, error) {
		a, err := lambdabiz.CallTask[numbers](o, "Operation1", "Number", in)
		if err != nil {
			return operationResult{}, err
		}
		if _, err := lambdabiz.Call(o, "Operation2", sum, a); err != nil {
			return operationResult{}, err
		}
		q, err := lambdabiz.Call(o, "Operation5", div, a)
		if err != nil {
			return operationResult{}, err
		}
		if err := lambdabiz.Sleep(o, "30SecTimer", 30*time.Second); err != nil {
			return operationResult{}, err
		}
		approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
		if err != nil || !approved {
			return operationResult{}, errors.Join(errors.New("not approved"), err)
		}
		return q, nil
	})
)

func TestSequenceRunsToItsEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(sequence, number, sum, div)
		began := time.Now()
		run := start(b, e, sequence, "Sequence3", numbers{15, 5})
		if err := e.RaiseEvent(b.ctx, "Sequence3", "Approve", true); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != (operationResult{15, 5, 3}) {
			t.Errorf("result is %+v", got)
		}
		if took := time.Since(began); took < 30*time.Second {
			t.Errorf("it took %v with a timer of 30 s", took)
		}
		s := b.state(e, "Sequence3")
		if s.Status != lambdabiz.StatusSucceeded || len(s.Operations) != 5 || len(s.WaitingFor) != 0 {
			t.Errorf("state is %+v", s)
		}
		for _, o := range s.Operations {
			if o.Status != lambdabiz.StatusSucceeded || o.Attempts != 1 || o.EndedAt.Before(o.ScheduledAt) {
				t.Errorf("operation is %+v", o)
			}
		}

		b.well()
		began = time.Now()
		run = start(b, e, sequence, "Sequence4", numbers{15, 5})
		raise(b, e, "Sequence4", "Approve", true)
		if got := result(b, run); got != (operationResult{15, 5, 3}) {
			t.Errorf("result is %+v", got)
		}
		if took := time.Since(began); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("it took %v with a timer of 30 s", took)
		}
		b.ill()
	}, keepsClaims(countsTime))
}
