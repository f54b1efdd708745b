package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/spare"
)

// committer gathers the commits of all runs and clients into batches. A lane that is free takes a commit at once.
// What comes meanwhile is queued, and a goroutine that lives as long as the queue is not empty commits it, batch
// after batch. Those that wait are on goroutines of their own: the backend cannot end them.
type committer struct {
	backend Backend
	size    int
	hooks   *hookCaller
	kept    *spare.Pool // whose goroutines call the backend

	mu    sync.Mutex
	lanes int // free
	queue []*submission
}

// submission is a commit on its way.
type submission struct {
	commit  *Commit
	alone   bool // it has failed in a way that may be its own: it shares no batch with others
	verdict Verdict
	err     error

	// What follows is kept when a run uses its submission again.
	done  chan struct{}  // receives once when the verdict is there
	own   [1]*submission // the batch that it is when a lane is free
	begin func()         // commits that batch, and then what has come meanwhile
}

// reset forgets the commit and its verdict, for another use.
func (s *submission) reset() { s.commit, s.alone, s.verdict, s.err = nil, false, Verdict{}, nil }

func newCommitter(b Backend, lanes, size int, hooks *hookCaller, kept *spare.Pool) *committer {
	return &committer{backend: b, lanes: lanes, size: size, hooks: hooks, kept: kept}
}

// commit makes one commit durable, together with others. The error means that it was not applied, or,
// with ErrOutcomeUnknown, that nobody knows.
func (c *committer) commit(ctx context.Context, commit *Commit) (Verdict, error) {
	return c.submit(ctx, &submission{commit: commit})
}

func (c *committer) submit(ctx context.Context, s *submission) (Verdict, error) {
	c.enqueue(ctx, s)
	<-s.done
	return s.verdict, s.err
}

// enqueue gives a submission to a lane that is free, or puts it into the queue. One that is used again comes with
// the same context.
func (c *committer) enqueue(ctx context.Context, s *submission) {
	if s.done == nil {
		s.done = make(chan struct{}, 1)
		s.own[0] = s
		s.begin = func() { c.drain(ctx, s.own[:]) }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes == 0 || len(c.queue) > 0 {
		c.queue = append(c.queue, s)
		return
	}
	c.lanes--
	c.kept.Go(s.begin)
}

// drain commits batch after batch, and gives the lane back when the queue is empty.
func (c *committer) drain(ctx context.Context, batch []*submission) {
	defer func() {
		if batch != nil { // the backend has ended the goroutine
			c.tell(batch)
			if next := c.next(); next != nil {
				go c.drain(ctx, next)
			}
		}
	}()
	for ; batch != nil; batch = c.next() {
		c.run(ctx, batch)
		c.tell(batch)
	}
}

// tell lets those go on whose commits were decided. They may use their submissions, and so the batch, again.
func (c *committer) tell(batch []*submission) {
	for _, s := range batch {
		s.done <- struct{}{} // there is room
	}
}

// next takes the next batch for a lane that is free now; nil if there is none: then the lane is given back.
func (c *committer) next() []*submission {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.lanes++
		return nil
	}
	return c.nextLocked()
}

// maxBatchBytes is where a batch ends, but for its first commit: what is large holds up what is small only for a
// moment, and a batch that fails is not written again and again.
const maxBatchBytes = 8 << 20

// nextLocked takes a batch from the queue. Two commits of one run, by an old and a new holder of it in
// this process, never meet in a batch.
func (c *committer) nextLocked() []*submission {
	if c.queue[0].alone {
		next := c.queue[:1:1]
		c.queue = c.queue[1:]
		return next
	}
	var rest []*submission
	n := min(c.size, len(c.queue))
	next := make([]*submission, 0, n)
	runs := make(map[string]struct{}, n)
	bytes := 0
	for i, s := range c.queue {
		size := s.commit.payloadBytes()
		if len(next) == c.size || len(next) > 0 && bytes+size > maxBatchBytes {
			rest = append(rest, c.queue[i:]...)
			break
		}
		if s.alone {
			rest = append(rest, s)
			continue
		}
		if ref := s.commit.Run; ref != nil {
			if _, twice := runs[ref.RunID]; twice {
				rest = append(rest, s)
				continue
			}
			runs[ref.RunID] = struct{}{}
		}
		bytes += size
		next = append(next, s)
	}
	c.queue = rest
	return next
}

// payloadBytes estimates what a commit writes.
func (c *Commit) payloadBytes() int {
	n := len(c.Progress)
	for i := range c.Operations {
		o := &c.Operations[i]
		n += len(o.Input) + len(o.Result) + len(o.Details)
	}
	for i := range c.Starts {
		n += len(c.Starts[i].Input)
	}
	for i := range c.Raises {
		n += len(c.Raises[i].Payload)
	}
	if c.Close != nil {
		n += len(c.Close.Result)
	}
	return n
}

// run commits a batch. When that fails as a whole, by an error that may be one member's own, its members are
// committed one by one, so that a poisoned commit fails alone.
func (c *committer) run(ctx context.Context, batch []*submission) {
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx) // the others in the batch have contexts of their own
	}
	if c.try(ctx, batch) || len(batch) == 1 || !mayBeOwn(batch[0].err) {
		return
	}
	unknown := errors.Is(batch[0].err, ErrOutcomeUnknown)
	for i, s := range batch {
		if unknown && !s.commit.isIdempotent() {
			continue // it keeps the error of the batch
		}
		if c.try(ctx, batch[i:i+1]) && unknown {
			s.verdict.doubtReceipts()
		}
	}
}

// isIdempotent reports whether the commit may come twice: a run's is applied under its fence once, a start has
// its run id.
func (c *Commit) isIdempotent() bool {
	if c.Run != nil {
		return true
	}
	for i := range c.Raises {
		if c.Raises[i].Key == "" {
			return false
		}
	}
	return true
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

func (c *committer) try(ctx context.Context, batch []*submission) bool {
	commits := make([]*Commit, len(batch))
	for i, s := range batch {
		commits[i], s.err = s.commit, errCommitLeft // unless the backend returns
	}
	began := time.Now()
	var verdicts []Verdict
	_, err := guard(func() (v any, err error) { // a panic must not keep the lane
		verdicts, err = c.backend.Commit(ctx, commits)
		return nil, err
	})
	c.hooks.committed(len(batch), time.Since(began), err)
	if _, panicked := errors.AsType[*panicError](err); panicked {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err) // it may have come after the write
	}
	if err == nil && len(verdicts) != len(batch) {
		err = fmt.Errorf("%w: the backend gave %d verdicts on %d commits", ErrOutcomeUnknown, len(verdicts), len(batch))
	}
	for i, s := range batch {
		s.err = err
		if err == nil {
			s.verdict = verdicts[i]
		}
	}
	return err == nil
}

// How often a commit fails alone until its run is blocked: by a verdict, which says that it is its own fault, and
// by an error that may be its own.
const (
	maxRefusals = 5
	maxFailures = 8
)

// commitRun makes a run's commit durable, however long that takes while the store fails: what is
// recorded in memory is not given up. A commit that fails alone again and again, though the store takes it that
// its run is blocked, blocks its run in the end.
func (e *Engine) commitRun(r *run, c *Commit) Verdict {
	if err := r.ctxErr(); err != nil {
		return Verdict{Err: err}
	}
	s := &r.submission
	s.commit = c
	defer s.reset()
	for try, refusals, failures := 1, 0, 0; ; try++ {
		v, err := e.committer.submit(context.Background(), s)
		if err == nil && (v.Err == nil || errors.Is(v.Err, ErrFenced) || errors.Is(v.Err, ErrStale)) {
			if v.Err == nil && r.makesDue(c) {
				e.kick()
			}
			return v
		}
		switch {
		case err == nil:
			refusals, err = refusals+1, v.Err
		case mayBeOwn(err):
			failures++
		default:
			failures = 0 // nobody knows what it would have been
		}
		r.log().Error("commit was not applied, trying again", "try", try, "error", err)
		if refusals >= maxRefusals || failures >= maxFailures {
			v, blockErr := e.committer.submit(context.Background(), &submission{commit: poisoned(c, err), alone: true})
			switch {
			case blockErr == nil && v.Err == nil:
				return Verdict{Err: errPoisoned}
			case blockErr == nil && errors.Is(v.Err, ErrFenced):
				return v
			}
		}
		alone := s.alone || mayBeOwn(err)
		s.reset()
		s.commit, s.alone = c, alone
		if !r.pause(commitBackoff.wait(try)) {
			return Verdict{Err: ErrFenced}
		}
	}
}

// makesDue reports whether other runs may have something to do after the commit.
func (r *run) makesDue(c *Commit) bool {
	return len(c.Raises) > 0 || len(c.Starts) > 0 || len(c.Controls) > 0 ||
		c.Close != nil && (c.Close.Next != nil || r.info.Parent != nil)
}

var commitBackoff = Backoff{Initial: 50 * time.Millisecond, Max: 5 * time.Second, Jitter: -1}

// errPoisoned: the run was blocked instead of what its commit said.
var errPoisoned = errors.New("commit cannot be stored")

// poisoned is what remains of a commit that the backend takes from nobody: the run is blocked.
func poisoned(c *Commit, err error) *Commit {
	at := now()
	return &Commit{Run: c.Run, Worker: c.Worker, At: at, Seen: c.Seen, Release: &Release{
		WakeAt:  at.Add(blockedBackoff.Max),
		Blocked: &Blocked{Reason: "its commit cannot be stored: " + err.Error(), Since: at, Times: 1},
	}}
}

// pause waits before another try. It reports false when the run has left meanwhile.
func (r *run) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.done:
		return false
	case <-r.abandoned:
		return false
	}
}

// ctxErr is why an orchestration driven by hand may not write any more.
func (r *run) ctxErr() error {
	select {
	case <-r.abandoned:
		return ErrFenced
	default:
		return nil
	}
}
