package lambdabiz

import "time"

// Sleep waits for a duration, counted from when the timer is first recorded: a resumed run waits for
// the rest. It never ends early by the clock of the worker that ends it. It returns ErrCancelled when
// the orchestration is cancelled meanwhile. A duration of 0 or less ends at once; the end of the year
// 9999 is the last time there is.
func Sleep(o Context, id string, d time.Duration, opts ...TimerOption) error {
	_, err := sleep(o, id, func(at time.Time) time.Time { return at.Add(d) }, opts)
	return err
}

// SleepUntil waits until a point in time. The first recorded time counts: a resumed run keeps it.
func SleepUntil(o Context, id string, t time.Time, opts ...TimerOption) error {
	_, err := sleep(o, id, func(time.Time) time.Time { return t }, opts)
	return err
}

// Now returns the time at which the operation was first recorded, by the clock of the worker that ran it then: the same in
// every resumed run, so that code may decide on it. It is recorded as a timer that is due at once, and costs no commit of
// its own. It returns ErrCancelled when the orchestration was cancelled before.
func Now(o Context, id string, opts ...TimerOption) (time.Time, error) {
	return sleep(o, id, func(at time.Time) time.Time { return at }, opts)
}

// sleep returns when the timer was due.
func sleep(o Context, id string, due func(at time.Time) time.Time, opts []TimerOption) (time.Time, error) {
	r := o.run()
	c := &call{o: o, id: id, kind: KindTimer}
	if len(opts) > 0 {
		var t timerOptions
		for _, opt := range opts {
			opt.applyTimer(&t)
		}
		c.former = t.former
	}
	op, err := c.begin()
	if err != nil {
		return time.Time{}, err
	}
	if op.Number == 0 {
		if err := r.checkWait(due(op.ScheduledAt)); err != nil {
			return time.Time{}, c.refuseLocked(op, err)
		}
		op.Status, op.Attempts, op.StartedAt = StatusStarted, 1, op.ScheduledAt
		op.DueAt = roundUp(due(op.ScheduledAt))
		if !op.DueAt.After(op.ScheduledAt) {
			op.DueAt = op.ScheduledAt
			r.end(op, StatusSucceeded, nil, nil)
		}
		r.touch(op)
	}
	if err := c.await(op); err != nil {
		return time.Time{}, err
	}
	at := op.DueAt
	return at, c.give(op)
}
