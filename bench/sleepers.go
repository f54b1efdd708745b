package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// clients is how many goroutines start and signal.
const clients = 256

func sleeperID(i int) string { return fmt.Sprintf("sleeper-%d", i) }

// sleepers is W4. Memory is that of the process once every sleeper is parked, over that before the first.
func sleepers(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	var asleep, done atomic.Int64 // the warm-up counts from below zero
	asleep.Store(-warmUp)
	done.Store(-warmUp)
	allAsleep, allDone := make(chan struct{}), make(chan struct{})
	sleeper := lambdabiz.Define("Sleeper", func(o lambdabiz.Context, in int) (int, error) {
		if asleep.Add(1) == int64(b.n) {
			close(allAsleep)
		}
		got, err := lambdabiz.WaitForEvent[int](o, "Wake")
		return in + got, err
	})
	config := lambdabiz.Config{ParkAfter: b.park, Hooks: lambdabiz.Hooks{RunEnded: func(lambdabiz.RunEvent) {
		if done.Add(1) == int64(b.n) {
			close(allDone)
		}
	}}}
	err := b.work(ctx, config, []lambdabiz.Registrable{sleeper},
		func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
			if err := warmSleepers(ctx, e, sleeper); err != nil {
				return err
			}
			before, err := residentMemory()
			if err != nil {
				return err
			}
			begun := time.Now()
			err = each(ctx, b.n, func(i int) error {
				_, err := lambdabiz.Start(ctx, e, sleeper, sleeperID(i), i)
				return err //nolint:wrapcheck // it names the orchestration
			})
			m["start_s"] = time.Since(begun).Seconds()
			if err = errors.Join(err, await(ctx, allAsleep)); err != nil {
				return err
			}
			m["all_waiting_s"] = time.Since(begun).Seconds()
			if err := parked(ctx, e); err != nil {
				return err
			}
			m["all_parked_s"] = time.Since(begun).Seconds()
			waiting, err := residentMemory()
			if err != nil {
				return err
			}
			m["rss_mb_before"], m["rss_mb_waiting"] = before/(1<<20), waiting/(1<<20)
			m["kb_per_sleeper"] = (waiting - before) / 1024 / float64(b.n)
			var signalled time.Duration
			took, err := p.during(func() error {
				err := each(ctx, b.n, func(i int) error {
					return e.RaiseEvent(ctx, sleeperID(i), "Wake", i) //nolint:wrapcheck // it names the orchestration
				})
				signalled = p.now()
				return errors.Join(err, await(ctx, allDone))
			})
			m["signal_s"], m["signal_to_all_done_s"] = signalled.Seconds(), took.Seconds()
			m["done_per_s"] = float64(b.n) / took.Seconds()
			if err != nil {
				return err
			}
			took.addCPU(m, b.n)
			return each(ctx, b.n, func(i int) error {
				got, err := lambdabiz.Get(e, sleeper, sleeperID(i)).Result(ctx)
				if err == nil && got != 2*i {
					err = fmt.Errorf("%s ended with %d, want %d", sleeperID(i), got, 2*i)
				}
				return err
			})
		})
	if b.paced {
		b.limits.add(m)
		m["ratio_to_row_limit"] = m["done_per_s"] / m["limit_rows_per_s"]
	}
	return m, err
}

// warmUp is how many sleepers sleep and end before the first measured one: what the process itself needs is
// no sleeper's memory.
const warmUp = 1000

func warmSleepers(ctx context.Context, e *lambdabiz.Engine, sleeper *lambdabiz.Definition[int, int]) error {
	return each(ctx, warmUp, func(i int) error {
		run, err := lambdabiz.Start(ctx, e, sleeper, fmt.Sprintf("warm-up-%d", i), i)
		if err == nil {
			err = e.RaiseEvent(ctx, run.ID(), "Wake", i)
		}
		if err == nil {
			_, err = run.Result(ctx)
		}
		return err
	})
}

// each calls f with every number below n, on as many goroutines as there are clients.
func each(ctx context.Context, n int, f func(i int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, clients) // each by its own goroutine
	for c := range errs {
		all.Go(func() {
			for errs[c] == nil && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[c] = f(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errors.Join(errs...), context.Cause(ctx))
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// parked returns when no worker holds an orchestration any more.
func parked(ctx context.Context, e *lambdabiz.Engine) error {
	for cursor := ""; ; {
		page, err := e.List(ctx, lambdabiz.Filter{Limit: 1000, Cursor: cursor})
		if err != nil {
			return err //nolint:wrapcheck // it says what it was doing
		}
		held := false
		for _, r := range page.Runs {
			held = held || r.Worker != 0
		}
		switch {
		case held:
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(100 * time.Millisecond):
			}
		case page.Next == "":
			return nil
		default:
			cursor = page.Next
		}
	}
}

// residentMemory is the memory that the process holds, after a collection, in bytes: what the operating system
// says, or, where it does not, what the Go runtime has.
func residentMemory() (float64, error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.Sys - s.HeapReleased), nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the memory of the process: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb float64
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				return 0, fmt.Errorf("read the memory of the process: %w", err)
			}
			return kb * 1024, nil
		}
	}
	return 0, errors.New("the operating system does not tell the memory of the process")
}
