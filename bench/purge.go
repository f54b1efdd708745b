package main

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// purge runs n sequences, c in flight, and then removes all of them.
func purge(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	err := b.work(ctx, lambdabiz.Config{}, fiveTasks, func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
		w := &crowd{e: e, c: b.c, clock: p.now}
		if err := w.run(ctx, func(i int) bool { return i < b.n }); err != nil {
			return err
		}
		took, err := p.during(func() error {
			removed, err := e.PurgeEnded(ctx, time.Now().Add(time.Hour), b.n)
			if err == nil && removed != b.n {
				err = fmt.Errorf("%d orchestrations were removed, want %d", removed, b.n)
			}
			return err //nolint:wrapcheck // it says what it was doing
		})
		m["purged_per_s"] = float64(b.n) / took.Seconds()
		took.addCPU(m, b.n)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	m["ratio_to_row_limit"] = m["purged_per_s"] / m["limit_rows_per_s"]
	return m, nil
}
