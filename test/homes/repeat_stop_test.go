package homes_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// undone is code that naps, and undoes what it has done when it is cancelled in its nap, in a branch if it says so.
func undone(tick *lambdabiz.Task[int, int], id string, inside bool) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Undone", func(o lambdabiz.Context, _ int) (int, error) {
		if _, err := lambdabiz.Call(o, "do", tick, 7); err != nil {
			return 0, err
		}
		slept := lambdabiz.Sleep(o, "nap", 24*time.Hour)
		after := lambdabiz.Detached(o)
		undo := func(o lambdabiz.Context) error {
			_, err := lambdabiz.Call(o, id, tick, 7)
			return err
		}
		var err error
		if inside {
			err = inBranch(after, "saga", undo)
		} else {
			err = undo(after)
		}
		if err == nil {
			_, err = lambdabiz.WaitForEvent[bool](after, "Go")
		}
		if err == nil {
			err = slept
		}
		return 1, err
	})
}

// What the code does when it has been cancelled it does once, too, whatever the clock of who cancelled it says.
// Row 158 of docs/proof/bugs.md.
func TestWhatIsDoneAfterACancellationIsNotRepeated(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for name, inside := range map[string]bool{"function": false, "branch": true} {
			var calls atomic.Int32
			tick := counted("Tick", &calls)
			e, stop := b.worker(undone(tick, "undo", inside), tick)
			start(b, e, undone(tick, "undo", inside), name, 0)
			time.Sleep(time.Minute)
			if err := e.Cancel(b.ctx, name, "enough"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			stop()
			raise(b, e, name, "Go", true)
			e, stop = b.worker(undone(tick, "undo-it", inside), tick)
			time.Sleep(time.Minute)
			prefix := ""
			if inside {
				prefix = "saga/"
			}
			blockedBefore(b, e, name, prefix+"undo-it", prefix+"undo", `Formerly("undo")`)
			stop()
			e, stop = b.worker(undone(tick, "undo", inside), tick)
			time.Sleep(10 * time.Minute)
			if s := b.state(e, name); s.Status != lambdabiz.StatusCancelled || calls.Load() != 2 {
				t.Errorf("%s: %v, blocked %+v, %d calls", name, s.Status, s.Blocked, calls.Load())
			}
			stop()
		}
	}, keepsClaims(countsBodies))
}
