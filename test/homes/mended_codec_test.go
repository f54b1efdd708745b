package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// failingCodec fails, or panics, for one type: a codec that encrypts may do so for any.
type failingCodec struct {
	lambdabiz.JSONCodec
	bad   string
	panic bool
}

func (c failingCodec) Encode(v any) (lambdabiz.Payload, error) {
	if strings.Contains(fmt.Sprintf("%T %v", v, v), c.bad) {
		if c.panic {
			panic("no key")
		}
		return nil, errors.New("no key")
	}
	return c.JSONCodec.Encode(v)
}

// A codec that cannot encode what the engine itself records must not leave the run locked.
func TestCodecThatFailsLeavesNoRunLocked(t *testing.T) {
	c := lambdabiz.Define("C", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })
	race := func(o lambdabiz.Context, _ int) (int, error) {
		f := lambdabiz.Go(o, "f", func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "s", one) })
		return lambdabiz.Race(o, "r", f)
	}
	child := func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.CallChild(o, "c", c, 1) }
	for name, test := range map[string]struct {
		codec failingCodec
		code  func(o lambdabiz.Context, _ int) (int, error)
	}{
		"race, error": {failingCodec{bad: "raceResult"}, race}, "race, panic": {failingCodec{bad: "raceResult", panic: true}, race},
		"child, error": {failingCodec{bad: "string x~-c"}, child}, "child, panic": {failingCodec{bad: "string x.c", panic: true}, child},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t: t, backend: homes[0].open(t), logs: &logBuffer{}, ctx: t.Context()}
			d := lambdabiz.Define("D", test.code)
			e := b.engine(lambdabiz.Config{PollInterval: 10 * time.Millisecond, Codec: test.codec}, d, c)
			ctx, cancel := context.WithCancel(b.ctx)
			defer cancel()
			go func() { _ = e.Run(ctx) }()
			time.Sleep(50 * time.Millisecond)
			start(b, e, d, "x", 0)
			for range 100 {
				time.Sleep(10 * time.Millisecond)
				if s := b.state(e, "x"); s.Status.Ended() || s.Blocked != nil {
					return
				}
			}
			t.Error("the run is neither blocked nor ended after 1 s")
		})
	}
}

// An event that arrives between the commit of a start, which claims the run, and its adoption.
func TestEventBeforeTheAdoption(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		other := b.engine(lambdabiz.Config{})
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if len(batch[0].Starts) > 0 {
				time.Sleep(2 * time.Second) // the goroutine that started has to wait for a processor
			}
			return v, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.WaitForEvent[int](o, "e") })
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Hour, PollInterval: 100 * time.Millisecond}, d)
		time.AfterFunc(time.Second, func() {
			if err := other.RaiseEvent(b.ctx, "x", "e", 7); err != nil {
				t.Error(err)
			}
		})
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, 10*time.Minute)
		defer cancel()
		if v, err := run.Result(ctx); v != 7 || err != nil {
			t.Error(v, err, len(b.state(e, "x").Events))
		}
	}, "memory", "sqlite")
}

// fragile is an error whose method panics when nothing is recorded of it.
type fragile struct{ Text *string }

func (f *fragile) Error() string { return *f.Text }

// A record of an error that its own type cannot read any more is an error with the recorded text, for the
// orchestration and for who waits for its result, and no panic.
func TestRecordedErrorWhoseMethodPanicsKeepsItsText(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		text := "fragile"
		d := lambdabiz.Define("Fragile", func(o lambdabiz.Context, _ int) (int, error) {
			err := lambdabiz.Do(o, "s", func(context.Context) error { return &fragile{&text} })
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("the step gave %v", err)
			}
			return 0, err
		})
		e := b.engine(lambdabiz.Config{}, d, lambdabiz.ErrorType[*unreadable]("fragile"))
		written, stop := b.worker(d, lambdabiz.ErrorType[*fragile]("fragile"))
		err := failure(b, start(b, written, d, "f", 0))
		stop()
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the writer got %v", err)
		}
		if err := failure(b, lambdabiz.Get(e, d, "f")); !strings.Contains(err.Error(), text) {
			t.Errorf("another version got %v", err)
		}
	})
}

// unreadable is what has become of fragile: its method panics over every record.
type unreadable struct{}

func (*unreadable) Error() string { panic("nothing is here") }

// What is over the limit of a recorded error loses its causes. A mark like NonRetryable has nothing else: who read
// it back panicked.
func TestNonRetryableErrorsOverTheLimitAreReadBack(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Large", func(o lambdabiz.Context, _ int) (int, error) {
			var all []error
			for range 8 {
				all = append(all, lambdabiz.NonRetryable(errors.New(strings.Repeat("x", 15<<10))))
			}
			return 0, lambdabiz.Do(o, "s", func(context.Context) error { return errors.Join(all...) })
		})
		e, _ := b.worker(d)
		if err := failure(b, start(b, e, d, "l", 0)); !strings.Contains(err.Error(), "xxx") {
			t.Errorf("the error is %.100v", err)
		}
	})
}
