package homes_test

import (
	"context"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Who waits where the run was started learns that another process has terminated it, though a body goes on.
func TestResultOfARunThatAnotherProcessHasTerminated(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "x", func(ctx context.Context) (int, error) {
				select {
				case <-time.After(10 * time.Hour):
				case <-ctx.Done():
				}
				return 1, nil
			})
		})
		e, _ := b.worker(d)
		client := b.engine(lambdabiz.Config{})
		run := start(b, e, d, "a", 1)
		time.Sleep(time.Second)
		if err := client.Terminate(b.ctx, "a", "x"); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		ctx, cancel := within(b, 9*time.Hour)
		defer cancel()
		_, err := run.Result(ctx)
		if took := time.Since(at); took > 10*time.Minute {
			t.Errorf("Result took %v: %v", took, err)
		}
		ctx, cancel = within(b, time.Minute)
		defer cancel()
		if _, err := lambdabiz.Get(e, d, "a").Result(ctx); err == nil {
			t.Error("no error")
		} else {
			t.Log(err)
		}
	}, "memory", "sqlite")
}

// The run's other branches stay cancelled for a caller by hand that is paused during a commit.
func TestByHandPausedDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		client := b.engine(lambdabiz.Config{})
		done := false
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			if batch[0].Run != nil && !done {
				done = true
				if err := client.Pause(ctx, "h", "x"); err != nil {
					t.Error(err)
				}
			}
			return inner.Commit(ctx, batch)
		}}
		e := b.engine(lambdabiz.Config{})
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		o, err := e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start(1); err != nil {
			t.Fatal(err)
		}
		_, err = lambdabiz.Step(o, "a", one)
		t.Log(err)
		_, err = lambdabiz.Step(o, "b", one)
		t.Log(err)
		time.Sleep(time.Minute)
		if err := client.Resume(b.ctx, "h"); err != nil {
			t.Fatal(err)
		}
		o, err = e.Create(ctx, "h")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lambdabiz.Step(o, "a", one); err != nil {
			t.Errorf("a: %v", err)
		}
	}, "memory", "sqlite", "memory, a commit ends the claim")
}
