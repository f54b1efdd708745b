package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

type numbers struct{ Number1, Number2 int }

type value struct {
	Number1, Number2 int
	Result           float64
}

// effect is called by each task of a sequence; the workload crash counts by it.
var effect = func(context.Context, string) error { return nil }

var (
	number = lambdabiz.NewTask("Number", func(ctx context.Context, n numbers) (value, error) {
		return value{n.Number1, n.Number2, float64(n.Number1)}, effect(ctx, "Number")
	})
	sum = lambdabiz.NewTask("Sum", func(ctx context.Context, v value) (value, error) {
		return value{v.Number1, v.Number2, v.Result + float64(v.Number2)}, effect(ctx, "Sum")
	})
	difference = lambdabiz.NewTask("Difference", func(ctx context.Context, v value) (value, error) {
		return value{v.Number1, v.Number2, v.Result - 7}, effect(ctx, "Difference")
	})
	product = lambdabiz.NewTask("Product", func(ctx context.Context, v value) (value, error) {
		return value{v.Number1, v.Number2, v.Result * float64(v.Number2)}, effect(ctx, "Product")
	})
	quotient = lambdabiz.NewTask("Quotient", func(ctx context.Context, v value) (value, error) {
		return value{v.Number1, v.Number2, v.Result / 2}, effect(ctx, "Quotient")
	})
)

var five = lambdabiz.Define("Sequence", func(o lambdabiz.Context, in numbers) (value, error) {
	v, err := lambdabiz.Call(o, "Operation1", number, in)
	if err != nil {
		return v, err
	}
	for i, task := range []*lambdabiz.Task[value, value]{sum, difference, product, quotient} {
		if v, err = lambdabiz.Call(o, operationIDs[i], task, v); err != nil {
			return v, err
		}
	}
	return v, nil
})

var operationIDs = []string{"Operation2", "Operation3", "Operation4", "Operation5"}

var fiveTasks = []lambdabiz.Registrable{five, number, sum, difference, product, quotient}

func inputOf(i int) numbers { return numbers{i, i%13 + 1} }

func resultOf(i int) value {
	n := inputOf(i)
	return value{n.Number1, n.Number2, (float64(n.Number1+n.Number2) - 7) * float64(n.Number2) / 2}
}

func sequenceID(i int) string { return fmt.Sprintf("sequence-%d", i) }

func checkFive(ctx context.Context, run *lambdabiz.Run[value], i int) error {
	got, err := run.Result(ctx)
	if err == nil && got != resultOf(i) {
		err = fmt.Errorf("%s ended with %v, want %v", sequenceID(i), got, resultOf(i))
	}
	return err
}

// crowd keeps c sequences in flight until more returns false, and notes how long each took. Numbers begin
// with first.
type crowd struct {
	e     *lambdabiz.Engine
	c     int
	clock func() time.Duration

	started func(i int) // called when a start is acknowledged; may be nil

	next atomic.Int64
	mu   sync.Mutex
	took []time.Duration
	errs []error
}

func (w *crowd) run(ctx context.Context, more func(i int) bool) error {
	w.took, w.errs = nil, nil
	var all sync.WaitGroup
	for range w.c {
		all.Go(func() {
			for {
				i := int(w.next.Add(1)) - 1
				if !more(i) || ctx.Err() != nil {
					w.next.Add(-1)
					return
				}
				begun := w.clock()
				err := w.one(ctx, i)
				w.note(w.clock()-begun, err)
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(append(w.errs, context.Cause(ctx))...)
}

// one starts the i-th sequence and waits for its result.
func (w *crowd) one(ctx context.Context, i int) error {
	run, err := lambdabiz.Start(ctx, w.e, five, sequenceID(i), inputOf(i))
	if err != nil {
		return err //nolint:wrapcheck // it names the orchestration
	}
	if w.started != nil {
		w.started(i)
	}
	return checkFive(ctx, run, i)
}

func (w *crowd) note(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	w.took = append(w.took, took)
}

// sequence is W1: five chained tasks, c orchestrations in flight.
func sequence(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	err := b.work(ctx, lambdabiz.Config{}, fiveTasks, func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
		w := &crowd{e: e, c: b.c, clock: p.now}
		warm := time.Now().Add(b.duration / 3)
		if err := w.run(ctx, func(int) bool { return time.Now().Before(warm) }); err != nil {
			return err
		}
		first := int(w.next.Load())
		took, err := p.during(func() error {
			return w.run(ctx, func(i int) bool {
				if b.n > 0 {
					return i < first+b.n
				}
				return p.now() < b.duration
			})
		})
		if err != nil {
			return err
		}
		n := float64(len(w.took))
		took.addCPU(m, len(w.took))
		m["orch_per_s"] = n / took.Seconds()
		m["steps_per_s"] = 5 * n / took.Seconds()
		m["lat_ms_p50"] = millis(quantile(w.took, 0.5))
		m["lat_ms_p99"] = millis(quantile(w.took, 0.99))
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	m["ratio_to_commit_limit"] = m["orch_per_s"] * 6 / m["limit_commits_per_s"]
	m["ratio_to_row_limit"] = m["orch_per_s"] / m["limit_rows_per_s"]
	return m, nil
}
