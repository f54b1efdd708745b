package homes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

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
