package main

import (
	"context"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// idle is what a worker with nothing to do computes: it has run a sequence, and looks for what other processes
// may have written.
func idle(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	err := b.work(ctx, lambdabiz.Config{}, fiveTasks, func(ctx context.Context, e *lambdabiz.Engine, _ *pace) error {
		w := &crowd{e: e, c: 1, clock: since()}
		if err := w.run(ctx, func(i int) bool { return i < 1 }); err != nil {
			return err
		}
		before, begun := b.usage(), time.Now()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(b.duration):
		}
		spent := b.usage().sub(before)
		m["cpu_ms_per_s"] = millis(spent.client+spent.server) / time.Since(begun).Seconds()
		return nil
	})
	return m, err
}
