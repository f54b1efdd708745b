package memory

import (
	"cmp"
	"context"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Commit applies each commit at once or not at all; see [lambdabiz.Backend].
func (b *Backend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i, c := range batch {
		verdicts[i] = b.apply(c)
	}
	b.signal()
	return verdicts, nil
}

func (b *Backend) apply(given *lambdabiz.Commit) lambdabiz.Verdict {
	var r *run
	if given.Run != nil {
		r = b.find(given.Run.ID, given.Run.RunID)
		if r == nil || !r.held || r.fence != given.Run.Fence || !r.open() {
			return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
		}
		if given.Conditional {
			if newer := r.newer(given.Seen); len(newer) > 0 {
				return lambdabiz.Verdict{Err: lambdabiz.ErrStale, Messages: newer, Held: true}
			}
		}
	}
	c := ownCopy(given)
	var verdict lambdabiz.Verdict
	for _, s := range c.Starts {
		v := b.start(c, s)
		refuse(c, s.Operation, v.Err)
		verdict.Starts = append(verdict.Starts, v)
	}
	for _, raise := range c.Raises {
		v := b.raise(raise, c.At)
		refuse(c, raise.Operation, v.Err)
		verdict.Raises = append(verdict.Raises, v)
	}
	for _, control := range c.Controls {
		err := b.control(control, c.At)
		refuse(c, control.Operation, err)
		verdict.Controls = append(verdict.Controls, err)
	}
	if r != nil {
		b.write(r, c)
		if c.Fetch {
			verdict.Messages = r.newer(c.Seen)
		}
	}
	return verdict
}

// ownCopy copies what apply changes or stores. Refusals must not reach the caller's commit: it may
// hand it over again.
func ownCopy(given *lambdabiz.Commit) *lambdabiz.Commit {
	c := *given
	c.At, c.WakeAt = stamp(c.At), stamp(c.WakeAt)
	c.Operations = make([]lambdabiz.Operation, len(given.Operations))
	for i := range given.Operations {
		c.Operations[i] = cloneOperation(given.Operations[i])
	}
	return &c
}

func refuse(c *lambdabiz.Commit, operation int64, err error) {
	if err != nil && operation != 0 {
		c.Refuse(operation, err)
	}
}

// write applies the commit's changes to its own run.
func (b *Backend) write(r *run, c *lambdabiz.Commit) {
	for _, op := range c.Operations {
		r.put(op)
	}
	r.consume(c.Consumed)
	if c.Progress != nil {
		r.info.Progress = clonePayload(c.Progress)
	}
	if c.Started && r.info.StartedAt.IsZero() {
		r.info.StartedAt = c.At
		if r.open() {
			r.info.Status = lambdabiz.StatusStarted
		}
	}
	r.follows = c.Run.Fence
	switch {
	case !r.open(): // a control in this commit terminated its own run
	case c.Close != nil:
		b.close(r, c)
	case c.Release != nil:
		r.info.Blocked = cloneBlocked(c.Release.Blocked)
		r.info.Version = cmp.Or(c.Release.Version, r.info.Version)
		b.letGo(r, c, stamp(c.Release.WakeAt))
	case b.config.CommitEndsClaim:
		r.info.Blocked = nil // it goes on
		r.kick = r.kick || c.Again
		b.letGo(r, c, c.WakeAt)
	}
}

// letGo ends a claim in good order. A message that came with this very commit has a number above
// Seen, so it makes the run due.
func (b *Backend) letGo(r *run, c *lambdabiz.Commit, wakeAt time.Time) {
	r.crashes = 0
	r.seen = c.Seen
	r.info.WakeAt = b.wakeAt(r, wakeAt)
	b.free(r)
	b.schedule(r)
}

// close ends the run and begins the next one of its chain.
func (b *Backend) close(r *run, c *lambdabiz.Commit) {
	r.info.Result = clonePayload(c.Close.Result)
	r.info.Orphans = append([]string(nil), c.Close.Orphans...)
	if c.Close.Next == nil {
		b.end(r, c.At, c.Close.Status, c.Close.Error)
		return
	}
	r.info.ContinuedAs = c.Close.Next.RunID
	next := b.next(r, *c.Close.Next, c.At)
	b.end(r, c.At, c.Close.Status, c.Close.Error)
	b.schedule(next)
}

// end makes the run final and informs a parent that waits, unless the run goes on as another.
func (b *Backend) end(r *run, at time.Time, status lambdabiz.Status, failure *lambdabiz.Failure) {
	b.free(r)
	r.info.Status, r.info.Error, r.info.EndedAt = status, cloneFailure(failure), at
	r.info.WakeAt, r.info.Blocked, r.info.Paused, r.info.PauseReason = time.Time{}, nil, false, ""
	p := r.info.Parent
	if p == nil || p.Detached || r.info.ContinuedAs != "" {
		return
	}
	parent := b.find(p.ID, p.RunID)
	if parent == nil || !parent.open() {
		return
	}
	b.deliver(parent, lambdabiz.Message{
		Kind:      lambdabiz.MessageChild,
		Payload:   clonePayload(r.info.Result),
		ArrivedAt: at,
		Operation: p.Operation,
		Status:    status,
		Error:     cloneFailure(failure),
	})
}
