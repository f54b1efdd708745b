package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Commit makes the commits durable in one transaction; see [lambdabiz.Backend]. What a commit may not do, or finds unreadable,
// is its verdict; a fault of the server's rolls all of the batch back.
func (b *Backend) Commit(ctx context.Context, commits []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if len(commits) == 0 {
		return nil, nil
	}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.limit(ctx)
	defer cancel()
	b.deliverByHand(ctx, commits)
	lane, err := take(ctx, b, b.lanes)
	if err != nil {
		return nil, err
	}
	defer func() { b.lanes <- lane }()
	if err := b.settle(ctx); err != nil {
		return nil, faultOf(ctx, "commit", err)
	}
	verdicts, wake, err := b.quickly(ctx, lane, commits)
	if err != nil {
		return nil, faultOf(ctx, "commit", err)
	}
	if wake {
		b.bell.ring()
	}
	return verdicts, nil
}

// commit commits a batch, and looks at each run first. When it has to wait too long for a row that somebody holds, or is refused
// again and again for the sake of others, only the commits that this is about are not applied: it is halved until they are
// alone.
func (b *Backend) commit(ctx context.Context, lane int, commits []*lambdabiz.Commit) ([]lambdabiz.Verdict, bool, error) {
	verdicts, wake, err := b.together(ctx, lane, commits)
	if len(commits) == 1 || !isOwn(err) {
		return verdicts, wake, err
	}
	verdicts = nil
	half := len(commits) / 2
	for _, part := range [][]*lambdabiz.Commit{commits[:half], commits[half:]} {
		some, wakes, err := b.commit(ctx, lane, part)
		if errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
			return nil, false, err // of all: what was applied may come twice, but no verdict leaves that open
		}
		for err != nil && len(some) < len(part) {
			some = append(some, lambdabiz.Verdict{Err: faultOf(ctx, "commit", err)})
		}
		verdicts, wake = append(verdicts, some...), wake || wakes
	}
	return verdicts, wake, nil
}

// together commits a batch in one transaction.
func (b *Backend) together(ctx context.Context, lane int, commits []*lambdabiz.Commit) ([]lambdabiz.Verdict, bool, error) {
	workers := map[int64]bool{}
	for _, c := range commits {
		if c.Worker > 0 {
			workers[c.Worker] = true
		}
	}
	var verdicts []lambdabiz.Verdict
	var done *batch
	ending := terminated(commits)
	var holders func(context.Context, *tx) ([]int64, error)
	if len(ending) > 0 {
		holders = func(ctx context.Context, t *tx) ([]int64, error) { return t.holders(ctx, ending) }
	}
	err := b.inLanes(ctx, lane, sorted(workers), holders, func(t *tx) error {
		done = newBatch(t, commits)
		if err := done.gather(ctx); err != nil {
			return err
		}
		if done.isHeldByAnother(ending) {
			return errAgain
		}
		verdicts = make([]lambdabiz.Verdict, len(commits))
		for i, c := range commits {
			verdicts[i] = done.apply(c)
		}
		return done.flush(ctx)
	})
	if err != nil {
		return nil, false, err
	}
	for i, c := range commits {
		if verdicts[i].Err == nil {
			noteStored(c)
		}
	}
	return verdicts, done.wake, nil
}

// terminated are the runs that commits are to terminate. What their holders have on its way needs no look at the run, so the
// lanes of the holders are what both go through.
func terminated(commits []*lambdabiz.Commit) (ending []name) {
	for _, c := range commits {
		for i := range c.Controls {
			if k := &c.Controls[i]; k.Kind == lambdabiz.ControlTerminate {
				ending = append(ending, name{k.ID, k.RunID})
			}
		}
	}
	return ending
}

// holders are the workers that hold the runs with those names.
func (t *tx) holders(ctx context.Context, names []name) ([]int64, error) {
	found := map[int64]bool{}
	if err := newBatch(t, nil).resolve(ctx, names, found); err != nil {
		return nil, err
	}
	var workers []int64
	err := t.query(ctx, qFindHolders, into(&workers), sorted(found))
	return slices.DeleteFunc(workers, func(w int64) bool { return w <= 0 }), err
}

// isHeldByAnother reports whether one of the runs is held by a worker that has come after its lanes were locked.
func (b *batch) isHeldByAnother(ending []name) bool {
	return slices.ContainsFunc(ending, func(n name) bool {
		r := b.find(n.id, n.runID)
		return r != nil && r.head.Worker > 0 && !slices.Contains(b.t.stopped, r.head.Worker)
	})
}

// apply applies one commit, or says in the verdict why it may not be applied.
func (b *batch) apply(given *lambdabiz.Commit) lambdabiz.Verdict {
	if err := b.broken(given); err != nil {
		return lambdabiz.Verdict{Err: err}
	}
	var r *run
	if given.Run != nil {
		if r = b.own(given); r == nil || !r.head.Writable(given.Run.Fence) {
			return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
		}
		// Its worker was removed, and the run is not freed yet.
		if r.head.Worker > 0 && !b.t.has(r.head.Worker) {
			return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
		}
		if given.Conditional {
			if newer := r.newer(given.Seen); len(newer) > 0 {
				return lambdabiz.Verdict{Err: lambdabiz.ErrStale, Messages: newer, Held: true}
			}
		}
	}
	if !b.t.has(given.Worker) && rules.ClaimsAny(given) {
		return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
	}
	own := *given // refusals must not reach the caller's commit: it may hand it over again
	own.At, own.Operations = stamp(given.At), slices.Clone(given.Operations)
	c := &own
	var v lambdabiz.Verdict
	for i := range c.Starts {
		started := b.start(c, &c.Starts[i])
		refuse(c, c.Starts[i].Operation, started.Err)
		v.Starts = append(v.Starts, started)
	}
	for i := range c.Raises {
		raised := b.raise(&c.Raises[i], c.At)
		refuse(c, c.Raises[i].Operation, raised.Err)
		v.Raises = append(v.Raises, raised)
	}
	for i := range c.Controls {
		err := b.control(&c.Controls[i], c.At)
		refuse(c, c.Controls[i].Operation, err)
		v.Controls = append(v.Controls, err)
	}
	if r != nil {
		b.write(r, c)
		if c.Fetch {
			v.Messages = r.newer(c.Seen)
		}
	}
	return v
}

// broken returns why a run cannot be read that a commit speaks of.
func (b *batch) broken(c *lambdabiz.Commit) error {
	var all []*run
	if c.Run != nil {
		all = append(all, b.own(c))
	}
	for i := range c.Starts {
		all = append(all, b.find(c.Starts[i].ID, ""), b.find(c.Starts[i].ID, c.Starts[i].RunID))
	}
	for i := range c.Raises {
		all = append(all, b.find(c.Raises[i].ID, c.Raises[i].RunID))
	}
	for i := range c.Controls {
		all = append(all, b.find(c.Controls[i].ID, c.Controls[i].RunID))
	}
	for _, r := range all {
		if r == nil {
			continue
		}
		if r.broken != nil {
			return r.broken
		}
		if p := r.head.Parent; p != nil {
			if parent := b.find(p.ID, p.RunID); parent != nil && parent.broken != nil {
				return parent.broken
			}
		}
	}
	return nil
}

func refuse(c *lambdabiz.Commit, operation int64, err error) {
	if err != nil && operation != 0 {
		c.Refuse(operation, err)
	}
}

// write applies the commit's changes to its own run.
func (b *batch) write(r *run, c *lambdabiz.Commit) {
	b.writes.operations = append(b.writes.operations, written{r.no, c.Operations})
	b.consume(r, c.Consumed)
	if c.Progress != nil {
		r.progress = c.Progress
		b.touch(r)
	}
	if h, first := rules.Started(r.head); first && c.Started {
		b.set(r, h)
		r.record.StartedAt = c.At
	}
	switch {
	case c.Close != nil:
		b.close(r, c)
	case c.Release != nil:
		b.release(r, c)
	}
}

// consume removes messages from an inbox.
func (b *batch) consume(r *run, numbers []int64) {
	gone := func(m lambdabiz.Message) bool { return !rules.Stays(m.Kind) && slices.Contains(numbers, m.Number) }
	r.unread, r.added = slices.DeleteFunc(r.unread, gone), slices.DeleteFunc(r.added, gone)
	for _, n := range numbers {
		b.writes.consumed.add(r.no, n)
	}
}

// release gives the run back.
func (b *batch) release(r *run, c *lambdabiz.Commit) {
	if !r.head.Open() {
		return // a control in this commit terminated its own run
	}
	own := *c.Release
	own.WakeAt = stamp(own.WakeAt)
	r.record.Blocked = own.Blocked
	r.record.Version = cmp.Or(own.Version, r.record.Version)
	b.set(r, rules.Release(r.head, &own, len(r.newer(c.Seen)) > 0))
}

// close ends the run, and begins the one that continues it.
func (b *batch) close(r *run, c *lambdabiz.Commit) {
	before := r.head
	if !before.Open() {
		return // a control in this commit terminated its own run
	}
	r.result = c.Close.Result
	r.record.Orphans = c.Close.Orphans
	b.change(r, rules.Close(before, c.Close, c.At), c.At)
	if c.Close.Next == nil {
		return
	}
	r.record.ContinuedAs = c.Close.Next.RunID
	next := b.create(c.Close.Next, rules.Next(before, c.Close.Next), c.At)
	next.record.Previous = before.RunID
	next.chain, next.lastMessage = r.chain, r.lastMessage
	b.writes.moved.add(r.no, next.no)
	for _, m := range r.added {
		if rules.Moves(m.Kind) {
			next.added = append(next.added, m)
		}
	}
	r.added = slices.DeleteFunc(r.added, func(m lambdabiz.Message) bool { return rules.Moves(m.Kind) })
}

func sorted(set map[int64]bool) []int64 {
	all := make([]int64, 0, len(set))
	for n := range set {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}
