package homes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func TestParksAfterACommitOnItsWay(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		release := make(chan struct{})
		def := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			f := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "go") })
			time.Sleep(time.Second)
			_ = lambdabiz.SetProgress(o, 1)
			time.Sleep(10 * time.Millisecond)
			return f.Wait(o)
		})
		_ = release
		e, _ := b.worker(def)
		d.Store(int64(20 * time.Millisecond))
		start(b, e, def, "x", 0)
		time.Sleep(10 * time.Minute)
		if s := b.state(e, "x"); s.Worker != 0 {
			t.Errorf("the run is in memory still after 10 minutes of waiting")
		}
	}, "memory", "sqlite", "postgres")
}

// An alarm that rings during a commit is set again for the next timer.
// Row 11 of docs/proof/bugs.md.
func TestTimersAfterAnAlarmDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		begun := time.Now()
		var rang atomic.Int64
		def := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			lambdabiz.Go(o, "a", func(o lambdabiz.Context) (int, error) {
				if err := lambdabiz.Sleep(o, "s", time.Second); err != nil {
					return 0, err
				}
				return lambdabiz.WaitForEvent[int](o, "never")
			})
			lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
				err := lambdabiz.Sleep(o, "s", 2*time.Second)
				rang.Store(int64(time.Since(begun)))
				return 0, err
			})
			c := lambdabiz.Go(o, "c", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(time.Hour); return 1, nil })
			})
			time.Sleep(994 * time.Millisecond)
			_ = lambdabiz.SetProgress(o, 1) // flushed at 999 ms, until 1,009 ms
			return c.Wait(o)
		})
		e, _ := b.worker(def)
		run := start(b, e, def, "x", 0)
		d.Store(int64(10 * time.Millisecond))
		result(b, run)
		if late := time.Duration(rang.Load()); late == 0 || late > 3*time.Second {
			t.Errorf("the timer of 2 s rang after %v", late)
		}
	}, "memory")
}

// Clean-up that a deferred function logs shows up each time that the run parks.
func TestParkedRunLogsNothing(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			defer o.Logger().Info("all done")
			return lambdabiz.WaitForEvent[int](o, "go")
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(10 * time.Minute)
		if b.logged("all done") {
			t.Error("a parked run has logged")
		}
	}, "memory")
}

// A wait that times out wakes its branch where the claim is gone: the effect after it asks for a new one. Nobody did.
func TestEffectAfterATimedOutWait(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			_, err := lambdabiz.WaitForEvent[int](o, "never", lambdabiz.Timeout(time.Minute))
			if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); !late {
				return 0, errors.New("no time-out")
			}
			return lambdabiz.Step(o, "s", one)
		})
		e, _ := b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := start(b, e, d, "x", 0).Result(ctx); v != 1 || err != nil {
			t.Errorf("result: %v, %v; %+v", v, err, b.state(e, "x"))
		}
	})
}

// The same, by a child that is refused.
func TestEffectAfterARefusedChild(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		c := lambdabiz.Define("C", func(o lambdabiz.Context, _ int) (int, error) {
			return 0, lambdabiz.Sleep(o, "s", time.Hour)
		})
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			_, err := lambdabiz.CallChild(o, "c", c, 1, lambdabiz.ChildID("used"))
			if !errors.Is(err, lambdabiz.ErrExists) {
				return 0, errors.New("not refused")
			}
			return lambdabiz.Step(o, "s", one)
		})
		e, _ := b.worker(d, c)
		start(b, e, c, "used", 0)
		ctx, cancel := within(b, 30*time.Minute)
		defer cancel()
		if v, err := start(b, e, d, "x", 0).Result(ctx); v != 1 || err != nil {
			t.Errorf("result: %v, %v; %+v", v, err, b.state(e, "x"))
		}
	})
}
