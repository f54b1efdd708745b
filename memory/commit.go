package memory

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Commit applies each commit at once or not at all; see [lambdabiz.Backend].
func (b *Backend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if err := b.config.fits(batch); err != nil {
		return nil, err
	}
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i, c := range batch {
		verdicts[i] = b.apply(c)
	}
	b.signal()
	return verdicts, nil
}

// fits returns an error for a batch of more than may be written at once.
func (config *Config) fits(batch []*lambdabiz.Commit) error {
	items, bytes := 0, 0
	for _, c := range batch {
		items, bytes = items+c.Items(), bytes+c.Bytes()
	}
	if config.MaxCommitItems > 0 && items > config.MaxCommitItems || config.MaxCommitBytes > 0 && bytes > config.MaxCommitBytes {
		return fmt.Errorf("memory: %w: %d items and %d bytes at once", lambdabiz.ErrTooLarge, items, bytes)
	}
	return nil
}

func (b *Backend) apply(given *lambdabiz.Commit) lambdabiz.Verdict {
	var r *run
	if given.Run != nil {
		r = b.find(given.Run.ID, given.Run.RunID)
		if r == nil || !r.head.Writable(given.Run.Fence) {
			return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
		}
		if given.Conditional {
			if newer := r.newer(given.Seen); len(newer) > 0 {
				return lambdabiz.Verdict{Err: lambdabiz.ErrStale, Messages: newer, Held: true}
			}
		}
	}
	if b.workers[given.Worker] == nil && !b.config.CommitEndsClaim && rules.ClaimsAny(given) {
		return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
	}
	own := b.ownCopy(given)
	c := &own
	var verdict lambdabiz.Verdict
	for _, s := range c.Starts {
		v := b.start(c, s)
		refuse(c, s.Operation, v.Err)
		verdict.Starts = append(verdict.Starts, v)
	}
	for i := range c.Raises {
		v := b.raise(&c.Raises[i], c.At)
		refuse(c, c.Raises[i].Operation, v.Err)
		verdict.Raises = append(verdict.Raises, v)
	}
	for i := range c.Controls {
		err := b.control(&c.Controls[i], c.At)
		refuse(c, c.Controls[i].Operation, err)
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
// hand it over again. It holds until the next one is made.
func (b *Backend) ownCopy(given *lambdabiz.Commit) lambdabiz.Commit {
	c := *given
	c.At, c.WakeAt = stamp(c.At), stamp(c.WakeAt)
	if clear(b.copies); cap(b.copies) > 256 {
		b.copies = nil
	}
	b.copies = b.copies[:0]
	for i := range given.Operations {
		b.copies = append(b.copies, cloneOperation(given.Operations[i]))
	}
	c.Operations = b.copies
	return c
}

func refuse(c *lambdabiz.Commit, operation int64, err error) {
	if err != nil && operation != 0 {
		c.Refuse(operation, err)
	}
}

// control applies one instruction of a commit.
func (b *Backend) control(k *lambdabiz.Control, at time.Time) error {
	var h *rules.Head
	r := b.find(k.ID, k.RunID)
	if r != nil {
		h = &r.head
	}
	change, err := rules.Control(h, k, at)
	if err == nil {
		b.change(r, change, at)
	}
	return err
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
	if c.Started {
		if h, first := rules.Started(r.head); first {
			b.set(r, h)
			r.info.StartedAt = c.At
		}
	}
	r.follows = c.Run.Fence
	switch {
	case c.Close != nil:
		b.close(r, c)
	case c.Release != nil:
		b.release(r, c, *c.Release)
	case b.config.CommitEndsClaim: // it goes on
		again := lambdabiz.Release{WakeAt: c.WakeAt}
		if c.Again {
			again.WakeAt = rules.AtOnce()
		}
		b.release(r, c, again)
	}
}

// release ends a claim in good order. A message that came with this very commit has a number above Seen, so it makes the run
// due.
func (b *Backend) release(r *run, c *lambdabiz.Commit, release lambdabiz.Release) {
	if !r.head.Open() {
		return // a control in this commit terminated its own run
	}
	release.WakeAt = b.wakeAt(r, stamp(release.WakeAt))
	r.info.Blocked = cloneBlocked(release.Blocked)
	r.info.Version = cmp.Or(release.Version, r.info.Version)
	b.set(r, rules.Release(r.head, &release, r.messages.last() > c.Seen))
}

// close ends the run and begins the next one of its chain.
func (b *Backend) close(r *run, c *lambdabiz.Commit) {
	before := r.head
	if !before.Open() {
		return // a control in this commit terminated its own run
	}
	r.info.Result = clonePayload(c.Close.Result)
	r.info.Orphans = append([]string(nil), c.Close.Orphans...)
	b.change(r, rules.Close(before, c.Close, c.At), c.At)
	if c.Close.Next == nil {
		return
	}
	r.info.ContinuedAs = c.Close.Next.RunID
	next := b.create(*c.Close.Next, rules.Next(before, c.Close.Next), c.At, r.keys)
	next.info.Previous = r.info.RunID
	r.messages.move(&next.messages, func(m lambdabiz.Message) bool { return rules.Moves(m.Kind) })
}
