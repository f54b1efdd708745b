package lambdabiz

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/alarm"
)

// watched is a context that counts who waits for its end.
type watched struct {
	context.Context //nolint:containedctx // it is one
	mu              sync.Mutex
	waiting         int
}

func (w *watched) Done() <-chan struct{} { return make(chan struct{}) }

func (w *watched) AfterFunc(func()) func() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
	var once sync.Once
	return func() bool {
		once.Do(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.waiting--
		})
		return true
	}
}

// endedByHand is a home with one run, that was driven by hand and is over, before its deadline.
type endedByHand struct{ noBackend }

func (endedByHand) Claim(_ context.Context, r ClaimRequest) (Claims, error) {
	if r.Hand != "over" {
		return Claims{}, ErrNotFound
	}
	info := RunInfo{ID: "over", RunID: "r", Mode: ModeHand, Status: StatusSucceeded, Deadline: now().Add(time.Hour)}
	return Claims{Runs: []Claimed{{Record: Record{RunInfo: info}}}}, nil
}

// Each Create of an id that was never started stayed in memory until its context ended, which may be never; each of one
// that was over, until its deadline.
func TestCreateLeavesNothingBehindThatWasNotStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := New(endedByHand{}, Config{})
		if err != nil {
			t.Fatal(err)
		}
		var rung atomic.Int64
		e.alarms = alarm.New(func(resident) { rung.Add(1) })
		ctx := &watched{Context: t.Context()}
		for _, id := range []string{"none", "over"} {
			o, err := e.Create(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := Sleep(o, "s", time.Second); !errors.Is(err, map[string]error{"none": ErrNotFound, "over": ErrClosed}[id]) {
				t.Errorf("%s: an operation gave %v", id, err)
			}
			if ctx.waiting != 0 || len(e.hands) != 0 {
				t.Errorf("%s: %d wait for the context's end, %d for messages", id, ctx.waiting, len(e.hands))
			}
			time.Sleep(2 * time.Hour) // past the deadline of the run that is over
			synctest.Wait()
			if n := rung.Load(); n != 0 {
				t.Errorf("%s: %d alarms rang", id, n)
			}
		}
	})
}
