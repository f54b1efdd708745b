package homes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// waitFor10 waits for an event for ten minutes.
var waitFor10 = lambdabiz.Define("WaitFor10", func(o lambdabiz.Context, _ int) (string, error) {
	got, err := lambdabiz.WaitForEvent[string](o, "e", lambdabiz.Timeout(10*time.Minute))
	if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
		return "too late", nil
	}
	return got, err
})

// Row 150 of docs/proof/bugs.md.
func TestAnEventOfAClockThatIsAheadIsInTime(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, ahead := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour} {
			id := ahead.String()
			e, stop := b.worker(waitFor10)
			client := b.clientWith(ahead, waitFor10)
			start(b, client, waitFor10, id, 0)
			time.Sleep(time.Second)
			b.settle() // it waits
			b.well()
			raise(b, client, id, "e", "in time")
			began := time.Now()
			if got := result(b, lambdabiz.Get(e, waitFor10, id)); got != "in time" {
				t.Errorf("%v: it gave %q", ahead, got)
			}
			if took := seconds(began); took > 10 {
				t.Errorf("%v: it took %d s", ahead, took)
			}
			// One that really comes too late is too late, whatever it is stamped with.
			run := start(b, client, waitFor10, id+" late", 0)
			time.Sleep(11 * time.Minute)
			_ = client.RaiseEvent(b.ctx, id+" late", "e", "taken") // it may have ended
			if got := result(b, run); got != "too late" {
				t.Errorf("%v: late, it gave %q", ahead, got)
			}
			b.ill()
			stop()
		}
	}, notOnSWF("events have the time of the home"), oneClock(setsClocks))
}

func TestARaceGoesByTheWorkersClock(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, eventFirst := range []bool{true, false} {
			d := eventOrTimer(eventFirst)
			_, stop := b.worker(d)
			client := b.clientWith(time.Hour, d)
			id := "event first"
			if !eventFirst {
				id = "timer first"
			}
			start(b, client, d, id, 0)
			b.well() // until a worker has recorded that it has the event, only its sender knows when it came
			time.Sleep(30 * time.Second)
			raise(b, client, id, "Approve", "approved")
			if got := result(b, lambdabiz.Get(client, d, id)); got != "approved" {
				t.Errorf("%s: it gave %q", id, got)
			}
			b.ill()
			stop()
		}
	}, oneClock(setsClocks))
}
