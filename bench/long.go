package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// chain is n steps, each of which adds to the result of the one before. It notes on its first pass when each
// hundred was done.
func chain(note func(step int)) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Long", func(o lambdabiz.Context, n int) (int, error) {
		total := 0
		for i := range n {
			var err error
			total, err = lambdabiz.Step(o, strconv.Itoa(i), func(context.Context) (int, error) { return total + i, nil })
			if err != nil {
				return 0, err
			}
			note(i + 1)
		}
		return total, nil
	})
}

// long is W3. growth is what the last hundred steps took, over what the first hundred took after ten to warm up.
func long(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	var p *pace
	at := make([]time.Duration, b.n+1)
	definition := chain(func(step int) { at[step] = p.now() })
	err := b.work(ctx, lambdabiz.Config{}, append(slices.Clip(fiveTasks), definition),
		func(ctx context.Context, e *lambdabiz.Engine, pc *pace) error {
			p = pc
			warm := &crowd{e: e, c: 1, clock: since()}
			if err := warm.run(ctx, func(i int) bool { return i < 500 }); err != nil {
				return err
			}
			took, err := p.during(func() error {
				run, err := lambdabiz.Start(ctx, e, definition, "long", b.n)
				if err != nil {
					return err //nolint:wrapcheck // it names the orchestration
				}
				got, err := run.Result(ctx)
				if want := b.n * (b.n - 1) / 2; err == nil && got != want {
					err = fmt.Errorf("long ended with %d, want %d", got, want)
				}
				return err
			})
			m["seconds"] = took.Seconds()
			m["steps_per_s"] = float64(b.n) / took.Seconds()
			return err
		})
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	if b.n >= 300 {
		m["first100_ms_per_step"] = millis(at[110]-at[10]) / 100
		m["last100_ms_per_step"] = millis(at[b.n]-at[b.n-100]) / 100
		m["growth"] = m["last100_ms_per_step"] / m["first100_ms_per_step"]
	}
	m["ratio_to_commits"] = m["seconds"] * m["limit_commits_per_s"] / float64(b.n)
	return m, nil
}
