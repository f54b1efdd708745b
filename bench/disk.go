package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// disk is W7: n sequences in fifths, and the size of the files when the database is closed.
func disk(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	err := b.work(ctx, lambdabiz.Config{}, fiveTasks, func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
		w := &crowd{e: e, c: b.c, clock: p.now}
		for fifth := range 5 {
			upTo := b.n * (fifth + 1) / 5
			n := upTo - int(w.next.Load())
			took, err := p.during(func() error {
				return w.run(ctx, func(i int) bool { return i < upTo })
			})
			if err != nil {
				return err
			}
			rate := float64(n) / took.Seconds()
			fmt.Fprintf(os.Stderr, "fifth %d of 5: %.0f orchestrations/s\n", fifth+1, rate)
			switch fifth {
			case 0:
				m["orch_per_s_first_fifth"] = rate
			case 4:
				m["orch_per_s_last_fifth"] = rate
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	bytes, err := b.size(ctx)
	m["bytes_per_orch"] = float64(bytes) / float64(b.n)
	return m, err
}

// size is that of all files of the database, or of all tables.
func (b *bed) size(ctx context.Context) (int64, error) {
	if b.server != nil {
		return b.server.size(ctx)
	}
	entries, err := os.ReadDir(b.folder)
	if err != nil {
		return 0, fmt.Errorf("measure the database: %w", err)
	}
	var total int64
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "bench.db") {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("measure the database: %w", err)
		}
		total += info.Size()
	}
	return total, nil
}

// since is a clock that begins now.
func since() func() time.Duration {
	begun := time.Now()
	return func() time.Duration { return time.Since(begun) }
}
