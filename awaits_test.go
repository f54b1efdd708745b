package lambdabiz_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A cancellation that came as the next attempt of a task was due, where the home performs tasks, was not heard: the attempt
// was asked for, and the run waited for its end.
func TestARetryThatIsCancelledAsItIsDueIsNotAskedFor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var bodies atomic.Int64
		fails := lambdabiz.NewTask("Fails", func(context.Context, int) (int, error) {
			bodies.Add(1)
			return 0, errors.New("not now")
		})
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Call(o, "task", fails, 1, lambdabiz.Retry(lambdabiz.Backoff{
				Initial: time.Minute, Jitter: -1, Attempts: 2,
			}))
		})
		e, _ := b.worker(d, fails)
		start(b, e, d, "x", 0)
		time.Sleep(30 * time.Second)
		e.CancelAsItWakes("x")
		_ = e.Cancel(b.ctx, "x", "") // for a claim, where a commit ends it; else it may have ended
		time.Sleep(time.Minute)
		s := b.state(e, "x")
		if !s.Status.Ended() || bodies.Load() != 1 || operation(t, s, "task").Status != lambdabiz.StatusCancelled {
			t.Errorf("it is %v after %d bodies, its task %v", s.Status, bodies.Load(), operation(t, s, "task").Status)
		}
	}, bears(0, countsBodies))
}

// A race waited for ever for a branch that read an event that may win, where claims have no end.
func TestAnEventThatIsNotReadInTimeBlocksTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			event := lambdabiz.Go(o, "event", func(o lambdabiz.Context) (int, error) {
				_, err := lambdabiz.WaitForEvent[hanging](o, "Hangs")
				return 0, err
			})
			return lambdabiz.Race(o, "r", event, nap(o, "nap", 10*time.Second))
		})
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		raise(b, e, "x", "Hangs", 1)
		time.Sleep(2 * time.Minute)
		if !b.logs.has("takes longer") || !b.logs.has("awaits_test.go:") { // it is tried again, and reads
			t.Error("it is not blocked, or not by its reading")
		}
		// One that is blocked is tried again; it may have come to its end in another pass.
		if err := b.engine(lambdabiz.Config{}).Terminate(b.ctx, "x", ""); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
			t.Error(err)
		}
		stop()
		time.Sleep(3 * time.Hour) // what is read comes to its end
	}, bears(0, countsTime))
}

// hanging takes an hour to be read.
type hanging int

func (h *hanging) UnmarshalJSON([]byte) error {
	time.Sleep(time.Hour)
	return nil
}
