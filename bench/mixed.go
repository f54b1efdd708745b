package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// neighbour is an orchestration of very many of a kind, beside which small ones go on.
type neighbour struct {
	kind string
	one  func(o lambdabiz.Context, id string) error // the i-th of many
	wait bool                                       // its events come before it goes on
}

var errWrong = errors.New("wrong branch or event")

var neighbours = []neighbour{
	{kind: "branches", one: func(o lambdabiz.Context, id string) error {
		lambdabiz.Go(o, id, func(lambdabiz.Context) (int, error) { return 1, nil })
		return nil
	}},
	{kind: "races", one: func(o lambdabiz.Context, id string) error {
		first := lambdabiz.Go(o, "a"+id, func(lambdabiz.Context) (int, error) { return 1, nil })
		second := lambdabiz.Go(o, "b"+id, func(o lambdabiz.Context) (int, error) {
			return lambdabiz.WaitForEvent[int](o, "never")
		})
		won, err := lambdabiz.Race(o, "r"+id, first, second)
		if err == nil && won != 0 {
			err = errWrong
		}
		return err //nolint:wrapcheck // it names the operation
	}},
	{kind: "events", wait: true, one: func(o lambdabiz.Context, id string) error {
		got, err := lambdabiz.WaitForEvent[int](o, id, lambdabiz.Named("E"))
		if err == nil && strconv.Itoa(got) != id {
			err = errWrong
		}
		return err //nolint:wrapcheck // it names the operation
	}},
}

func (n neighbour) definition() *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Huge-"+n.kind, func(o lambdabiz.Context, many int) (int, error) {
		if n.wait {
			if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
				return 0, err //nolint:wrapcheck // it names the operation
			}
		}
		for i := range many {
			if err := n.one(o, strconv.Itoa(i)); err != nil {
				return 0, err
			}
		}
		return many, nil
	})
}

// begin starts one, and raises the events that it takes.
func (n neighbour) begin(
	ctx context.Context, e *lambdabiz.Engine, d *lambdabiz.Definition[int, int], id string, many int,
) (*lambdabiz.Run[int], error) {
	run, err := lambdabiz.Start(ctx, e, d, id, many)
	if err != nil || !n.wait {
		return run, err //nolint:wrapcheck // it names the orchestration
	}
	for i := 0; err == nil && i < many; i++ {
		err = e.RaiseEvent(ctx, id, "E", i)
	}
	if err == nil {
		err = e.RaiseEvent(ctx, id, "go", 0)
	}
	return run, err //nolint:wrapcheck // it names the orchestration
}

// mixed is many small sequences beside one orchestration of n of a kind: what p99 the small ones have, and how often
// the one that they have alone. A huge one that has ended begins anew until the time is over.
func mixed(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	items := append([]lambdabiz.Registrable{}, fiveTasks...)
	definitions := map[string]*lambdabiz.Definition[int, int]{}
	for _, n := range neighbours {
		definitions[n.kind] = n.definition()
		items = append(items, definitions[n.kind])
	}
	err := b.work(ctx, lambdabiz.Config{}, items, func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
		p.off = true
		_, err := p.during(func() error { return b.neighbours(ctx, e, definitions, m) })
		return err
	})
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	return m, nil
}

// neighbours measures the small ones alone, and beside each kind.
func (b *bed) neighbours(
	ctx context.Context, e *lambdabiz.Engine, definitions map[string]*lambdabiz.Definition[int, int], m figures,
) error {
	w := &crowd{e: e, c: b.c, clock: since()}
	warm := time.Now().Add(b.duration / 3)
	if err := w.run(ctx, func(int) bool { return time.Now().Before(warm) }); err != nil {
		return err
	}
	until := time.Now().Add(b.duration)
	if err := w.run(ctx, func(int) bool { return time.Now().Before(until) }); err != nil {
		return err
	}
	alone := millis(quantile(w.took, 0.99))
	m["alone_ms_p50"], m["alone_ms_p99"] = millis(quantile(w.took, 0.5)), alone
	for _, n := range neighbours {
		if err := b.beside(ctx, w, n, definitions[n.kind]); err != nil {
			return fmt.Errorf("beside %s: %w", n.kind, err)
		}
		p99 := millis(quantile(w.took, 0.99))
		m[n.kind+"_ms_p50"], m[n.kind+"_ms_p99"] = millis(quantile(w.took, 0.5)), p99
		m[n.kind+"_ratio"] = p99 / alone
	}
	return nil
}

// beside runs small ones while huge ones of a kind run: for as long as it is measured, and to the end of the last one.
func (b *bed) beside(ctx context.Context, w *crowd, n neighbour, d *lambdabiz.Definition[int, int]) error {
	over := make(chan struct{})
	var fault error
	until := time.Now().Add(b.duration)
	go func() {
		defer close(over)
		for i := 0; fault == nil && (i == 0 || time.Now().Before(until)); i++ {
			var run *lambdabiz.Run[int]
			if run, fault = n.begin(ctx, w.e, d, fmt.Sprintf("%s-%d", n.kind, i), b.n); fault != nil {
				return
			}
			got, err := run.Result(ctx)
			if fault = err; err == nil && got != b.n {
				fault = fmt.Errorf("%s ended with %d, want %d", run.ID(), got, b.n)
			}
		}
	}()
	err := w.run(ctx, func(int) bool {
		select {
		case <-over:
			return false
		default:
			return true
		}
	})
	<-over
	return errors.Join(err, fault)
}
