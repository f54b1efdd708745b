package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/batch"
	"github.com/lambdabiz/lambdabiz/internal/spare"
)

// committer gathers the commits of all runs and clients into batches. Those that wait are on goroutines of their own: the
// backend cannot end them.
type committer struct {
	backend Backend
	hooks   *hookCaller
	lanes   *batch.Lanes[*decision]
}

// submission is a commit on its way. A run uses its own again and again.
type submission struct {
	batch.Item[*decision]
	decision
}

// decision is a commit, and what was decided on it.
type decision struct {
	commit  *Commit
	alone   bool // it has failed in a way that may be its own: it shares no batch with others
	verdict Verdict
	err     error
}

// reset forgets the commit and its verdict, for another use.
func (d *decision) reset() { *d = decision{} }

// enqueue gives the submission to the lanes. One that is used again comes with the same context.
func (s *submission) enqueue(ctx context.Context, c *committer) {
	s.Member = &s.decision
	c.lanes.Add(ctx, &s.Item)
}

// Key: two commits of one run, by an old and a new holder of it in this process, never meet in a batch.
func (d *decision) Key() string {
	if d.commit.Run == nil {
		return ""
	}
	return d.commit.Run.RunID
}

func (d *decision) Bytes() int  { return d.commit.Bytes() }
func (d *decision) Parts() int  { return d.commit.Items() }
func (d *decision) Alone() bool { return d.alone }

// maxBatchBytes is where a batch ends, but for its first commit: what is large holds up what is small only for a
// moment, and a batch that fails is not written again and again.
const maxBatchBytes = 8 << 20

func newCommitter(b Backend, desc *Description, hooks *hookCaller, kept *spare.Pool) *committer {
	c := &committer{backend: b, hooks: hooks}
	limits := batch.Limits{
		Lanes: max(desc.Lanes, 1), Items: max(desc.BatchSize, 1), Bytes: maxBatchBytes, Parts: desc.MaxCommitItems,
	}
	if most := desc.MaxCommitBytes; most > 0 {
		limits.Bytes = min(limits.Bytes, most)
	}
	c.lanes = batch.New(limits, c.run, kept.Go)
	return c
}

// commit makes one commit durable, together with others. The error means that it was not applied, or,
// with ErrOutcomeUnknown, that nobody knows.
func (c *committer) commit(ctx context.Context, commit *Commit) (Verdict, error) {
	return c.submit(ctx, &submission{decision: decision{commit: commit}})
}

func (c *committer) submit(ctx context.Context, s *submission) (Verdict, error) {
	s.enqueue(ctx, c)
	<-s.Done()
	return s.verdict, s.err
}

// run commits a batch. When that fails as a whole, by an error that may be one member's own, its members are
// committed one by one, so that a poisoned commit fails alone.
func (c *committer) run(ctx context.Context, together []*batch.Item[*decision]) {
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx) // the others in the batch have contexts of their own
	}
	if c.try(ctx, together) || len(together) == 1 || !mayBeOwn(together[0].Member.err) {
		return
	}
	unknown := errors.Is(together[0].Member.err, ErrOutcomeUnknown)
	for i, s := range together {
		if unknown && !s.Member.commit.isIdempotent() {
			continue // it keeps the error of the batch
		}
		if c.try(ctx, together[i:i+1]) && unknown {
			s.Member.verdict.doubtReceipts()
		}
	}
}

// settleDoubt is called for a conditional commit whose first try had an unknown outcome, and whose second try was stale. It
// looks whether the first one was applied. If it was, the waits that it ended by their time-outs have ended, and a message
// that has come since changes nothing of that: the commit is made unconditional, to be written again. All else in it may be
// written twice.
func (c *committer) settleDoubt(commit *Commit) error {
	isTimeout := func(o Operation) bool { return o.Kind == KindEvent && o.Status == StatusTimeout }
	at := slices.IndexFunc(commit.Operations, isTimeout)
	if at < 0 {
		return nil
	}
	number := commit.Operations[at].Number
	recorded, err := guard(func() (any, error) {
		rec, err := c.backend.Load(context.Background(), commit.Run.ID, commit.Run.RunID)
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(rec.Operations, func(o Operation) bool { return o.Number == number && isTimeout(o) }), nil
	})
	if err != nil {
		return fmt.Errorf("look whether the commit was applied: %w", err)
	}
	if recorded == true {
		commit.Conditional, commit.Fetch = false, true
	}
	return nil
}

// mayBeOwn reports whether an error may be that of one commit, and would come again however often it is tried. What
// says of itself that it is temporary (the store is busy, full or out of reach) is not, nor is an unknown outcome;
// a backend that panics over a commit is.
func mayBeOwn(err error) bool {
	if _, panicked := errors.AsType[*panicError](err); panicked || errors.Is(err, errGoexit) {
		return true
	}
	var temporary interface{ Temporary() bool }
	return !errors.Is(err, ErrOutcomeUnknown) && (!errors.As(err, &temporary) || !temporary.Temporary())
}

// errCommitLeft is what a Goexit of the backend becomes: it may have come after the write.
var errCommitLeft = fmt.Errorf("%w: %w", ErrOutcomeUnknown, errGoexit)

func (c *committer) try(ctx context.Context, together []*batch.Item[*decision]) bool {
	commits := make([]*Commit, len(together))
	for i, s := range together {
		commits[i], s.Member.err = s.Member.commit, errCommitLeft // unless the backend returns
	}
	began := time.Now()
	var verdicts []Verdict
	_, err := guard(func() (v any, err error) { // a panic must not keep the lane
		verdicts, err = c.backend.Commit(ctx, commits)
		return nil, err
	})
	c.hooks.committed(len(together), time.Since(began), err)
	if _, panicked := errors.AsType[*panicError](err); panicked {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err) // it may have come after the write
	}
	if err == nil && len(verdicts) != len(together) {
		err = fmt.Errorf("%w: the backend gave %d verdicts on %d commits", ErrOutcomeUnknown, len(verdicts), len(together))
	}
	for i, s := range together {
		s.Member.err = err
		if err == nil {
			s.Member.verdict = verdicts[i]
		}
	}
	return err == nil
}
