package homes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// An item of a Map that comes to its step repeats no other item's: that one has its own step ahead of it, though it waits,
// or is still to begin. Such a run was blocked, and stayed so.
func TestItemsOfAMapDoNotRepeatEachOther(t *testing.T) {
	ship := func(o lambdabiz.Context, shipped *atomic.Int32) (int, error) {
		return lambdabiz.Step(o, "ship", func(context.Context) (int, error) { return int(shipped.Add(1)), nil })
	}
	waits := func(o lambdabiz.Context, item string) error {
		_, err := lambdabiz.WaitForEvent[bool](o, "go-"+item)
		return err //nolint:wrapcheck // it names the operation
	}
	type itemOf = func(shipped *atomic.Int32) func(o lambdabiz.Context, item string) (int, error)
	oneWaits := func(shipped *atomic.Int32) func(o lambdabiz.Context, item string) (int, error) {
		return func(o lambdabiz.Context, item string) (int, error) {
			if item == "a" {
				if err := waits(o, item); err != nil {
					return 0, err
				}
			}
			return ship(o, shipped)
		}
	}
	allWait := func(shipped *atomic.Int32) func(o lambdabiz.Context, item string) (int, error) {
		return func(o lambdabiz.Context, item string) (int, error) {
			if err := waits(o, item); err != nil {
				return 0, err
			}
			return ship(o, shipped)
		}
	}
	for name, code := range map[string]struct {
		before, after itemOf
		limit         int // of the code after
	}{
		"with a lower limit":    {oneWaits, oneWaits, 1},
		"with a wait before it": {oneWaits, allWait, 2},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var shipped atomic.Int32
				items := func(limit int, item func(o lambdabiz.Context, item string) (int, error)) *lambdabiz.Definition[int, int] {
					return define(func(o lambdabiz.Context) (int, error) {
						all, err := lambdabiz.Map(o, "m", []string{"a", "b"}, func(s string) string { return s }, item,
							lambdabiz.Concurrency(limit))
						return len(all), err //nolint:wrapcheck // it names the operation
					})
				}
				before, after := items(2, code.before(&shipped)), items(code.limit, code.after(&shipped))
				e, stop := b.workerWith(lambdabiz.Config{Version: "1"}, before)
				start(b, e, before, "x", 0)
				time.Sleep(time.Minute) // b has shipped, a waits
				stop()
				e, _ = b.workerWith(lambdabiz.Config{Version: "2"}, after)
				raise(b, e, "x", "go-a", true)
				time.Sleep(time.Minute)
				if s := b.state(e, "x"); s.Blocked != nil || shipped.Load() != 2 {
					t.Errorf("%d shipped, blocked %+v", shipped.Load(), s.Blocked)
				}
				if err := e.RaiseEvent(b.ctx, "x", "go-b", true); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
					t.Error(err) // only the second one waits for it
				}
				time.Sleep(time.Minute)
				if s := b.state(e, "x"); s.Status != lambdabiz.StatusSucceeded || shipped.Load() != 2 {
					t.Errorf("%v, %d shipped, blocked %+v", s.Status, shipped.Load(), s.Blocked)
				}
			}, keepsClaims(countsBodies))
		})
	}
}
