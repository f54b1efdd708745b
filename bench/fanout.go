package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/lambdabiz/lambdabiz"
)

// wide is n parallel steps; its result is the sum of theirs.
var wide = lambdabiz.Define("FanOut", func(o lambdabiz.Context, n int) (int, error) {
	items := make([]int, n)
	for i := range items {
		items[i] = i
	}
	squares, err := lambdabiz.Map(o, "squares", items, strconv.Itoa,
		func(o lambdabiz.Context, i int) (int, error) {
			return lambdabiz.Step(o, "square", func(context.Context) (int, error) { return i * i, nil })
		})
	total := 0
	for _, v := range squares {
		total += v
	}
	return total, err
})

// fanout is W2. A small one warms up; the figure is of one orchestration, started on a worker that is ready.
func fanout(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	err := b.work(ctx, lambdabiz.Config{}, []lambdabiz.Registrable{wide},
		func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
			if err := runWide(ctx, e, "warm-up", 10); err != nil {
				return err
			}
			p.off = true // it takes less than a slice
			took, err := p.during(func() error { return runWide(ctx, e, "fan-out", b.n) })
			m["ms"] = millis(took.Duration)
			m["activities_per_s"] = float64(b.n) / took.Seconds()
			return err
		})
	b.limits.add(m)
	return m, err
}

func runWide(ctx context.Context, e *lambdabiz.Engine, id string, n int) error {
	run, err := lambdabiz.Start(ctx, e, wide, id, n)
	if err != nil {
		return err //nolint:wrapcheck // it names the orchestration
	}
	got, err := run.Result(ctx)
	if want := (n - 1) * n * (2*n - 1) / 6; err == nil && got != want {
		err = fmt.Errorf("%s ended with %d, want %d", id, got, want)
	}
	return err
}
