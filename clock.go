package lambdabiz

import (
	"context"
	"time"
)

// now is the time that is recorded: UTC with microseconds, without the monotonic reading.
func now() time.Time { return time.Now().UTC().Round(0).Truncate(time.Microsecond) }

// lastTime is the last time that every home can store.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// roundUp makes a time to come fit to be recorded: in whole microseconds, never earlier.
func roundUp(t time.Time) time.Time {
	t = t.UTC().Round(0)
	if t.After(lastTime) {
		return lastTime
	}
	if cut := t.Truncate(time.Microsecond); !cut.Equal(t) {
		return cut.Add(time.Microsecond)
	}
	return t
}

// within waits for something, but not for longer than d. It reports whether it came.
func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// sleepUntil waits for d, or for a signal. It returns why ctx has ended before.
func sleepUntil(ctx context.Context, signal <-chan bool, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-signal:
	case <-t.C:
	}
	return nil
}

// timerIf is a timer that runs only if d is positive.
func timerIf(d time.Duration) *time.Timer {
	if d > 0 {
		return time.NewTimer(d)
	}
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// stopGrace is how long a draining worker waits for bodies whose contexts it has ended.
const stopGrace = 2 * time.Second
