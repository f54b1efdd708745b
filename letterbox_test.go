package lambdabiz_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// The worker's loop and the alarm waited for the lock of each run that they had something for: what one computed over
// a big record, all others waited for. (A goroutine that waits for a lock keeps virtual time from passing, so this
// test does without.)
func TestARunThatHoldsItsLockHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a test that hangs must end
	defer cancel()
	store := memory.New()
	e, err := lambdabiz.New(store, lambdabiz.Config{PollInterval: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{}, 2)
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		branch := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (int, error) {
			return 0, lambdabiz.Sleep(o, "soon", time.Millisecond)
		})
		if err := lambdabiz.Do(o, "waits", func(context.Context) error { waiting <- struct{}{}; return nil }); err != nil {
			return 0, err
		}
		n, err := lambdabiz.WaitForEvent[int](o, "E")
		_, slept := branch.Wait(o)
		return n, errors.Join(err, slept)
	})
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	err = e.RunWhile(ctx, func(ctx context.Context) error {
		big, err := lambdabiz.Start(ctx, e, d, "big", 0)
		if err != nil {
			return err
		}
		<-waiting
		release := e.HoldRun("big")
		defer func() { release() }()
		if err := e.RaiseEvent(ctx, "big", "E", 1); err != nil {
			return err
		}
		small, err := lambdabiz.Start(ctx, e, d, "small", 0)
		if err != nil {
			return err
		}
		<-waiting
		if err := e.RaiseEvent(ctx, "small", "E", 2); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if n, err := small.Result(soon); n != 2 || err != nil {
			t.Errorf("beside a run that holds its lock another one ended with %d, %v", n, err)
		}
		release()
		release = func() {}
		if n, err := big.Result(ctx); n != 1 || err != nil {
			t.Errorf("what came meanwhile is lost: %d, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
