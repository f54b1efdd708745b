package lambdabiz

import (
	"context"
	"errors"
	"sync"
	"time"
)

// committer gathers the commits of all runs and clients into batches. Whoever finds a lane free commits on its
// own goroutine: one commit alone needs no hand-off. What comes meanwhile is queued, and a goroutine that lives
// as long as the queue is not empty commits it, batch after batch.
type committer struct {
	backend Backend
	size    int
	hooks   *hookCaller

	mu    sync.Mutex
	lanes int // free
	queue []*submission
}

// submission is a commit on its way.
type submission struct {
	commit  *Commit
	verdict Verdict
	err     error
	done    chan struct{} // closed with the verdict; nil for one that commits itself
}

func newCommitter(b Backend, lanes, size int, hooks *hookCaller) *committer {
	return &committer{backend: b, lanes: lanes, size: size, hooks: hooks}
}

// commit makes one commit durable, together with others. The error means that it was not applied, or,
// with ErrOutcomeUnknown, that nobody knows.
func (c *committer) commit(ctx context.Context, commit *Commit) (Verdict, error) {
	s := &submission{commit: commit}
	c.mu.Lock()
	if c.lanes == 0 || len(c.queue) > 0 {
		s.done = make(chan struct{})
		c.queue = append(c.queue, s)
		c.mu.Unlock()
		<-s.done
		return s.verdict, s.err
	}
	c.lanes--
	c.mu.Unlock()
	c.run(ctx, []*submission{s})
	if next := c.next(); next != nil {
		go c.drain(context.WithoutCancel(ctx), next)
	}
	return s.verdict, s.err
}

// drain commits batch after batch, and gives the lane back when the queue is empty.
func (c *committer) drain(ctx context.Context, batch []*submission) {
	for ; batch != nil; batch = c.next() {
		c.run(ctx, batch)
		for _, s := range batch {
			close(s.done)
		}
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

// nextLocked takes a batch from the queue. Two commits of one run, by an old and a new holder of it in
// this process, never meet in a batch.
func (c *committer) nextLocked() []*submission {
	var rest []*submission
	n := min(c.size, len(c.queue))
	next := make([]*submission, 0, n)
	runs := make(map[string]struct{}, n)
	for i, s := range c.queue {
		if len(next) == c.size {
			rest = append(rest, c.queue[i:]...)
			break
		}
		if ref := s.commit.Run; ref != nil {
			if _, twice := runs[ref.RunID]; twice {
				rest = append(rest, s)
				continue
			}
			runs[ref.RunID] = struct{}{}
		}
		next = append(next, s)
	}
	c.queue = rest
	return next
}

// run commits a batch. When that fails as a whole, its members are committed one by one, so that a
// poisoned commit fails alone.
func (c *committer) run(ctx context.Context, batch []*submission) {
	ctx = context.WithoutCancel(ctx) // the others in the batch have contexts of their own
	if c.try(ctx, batch) || len(batch) == 1 || errors.Is(batch[0].err, ErrOutcomeUnknown) {
		return
	}
	for i := range batch {
		c.try(ctx, batch[i:i+1])
	}
}

func (c *committer) try(ctx context.Context, batch []*submission) bool {
	commits := make([]*Commit, len(batch))
	for i, s := range batch {
		commits[i] = s.commit
	}
	began := time.Now()
	var verdicts []Verdict
	_, err := guard(func() (v any, err error) { // a panic must not keep the lane
		verdicts, err = c.backend.Commit(ctx, commits)
		return nil, err
	})
	c.hooks.committed(len(batch), time.Since(began), err)
	if err == nil && len(verdicts) != len(batch) {
		err = errors.New("the backend gave another number of verdicts than commits")
	}
	for i, s := range batch {
		s.err = err
		if err == nil {
			s.verdict = verdicts[i]
		}
	}
	return err == nil
}

// commitRun makes a run's commit durable, however long that takes while the store fails: what is
// recorded in memory is not given up. A commit that alone cannot be applied blocks its run in the end.
func (e *Engine) commitRun(r *run, c *Commit) Verdict {
	if err := r.ctxErr(); err != nil {
		return Verdict{Err: err}
	}
	poison := false
	for try := 1; ; try++ {
		v, err := e.committer.commit(context.Background(), c)
		if poison && err == nil && v.Err == nil {
			return Verdict{Err: errPoisoned}
		}
		if err == nil && (v.Err == nil || errors.Is(v.Err, ErrFenced) || errors.Is(v.Err, ErrStale)) {
			if v.Err == nil && r.makesDue(c) {
				e.kick()
			}
			return v
		}
		if err == nil {
			err = v.Err
		}
		r.log().Error("commit was not applied, trying again", "try", try, "error", err)
		if try >= 5 && v.Err != nil && !poison {
			poison, c = true, poisoned(c, err)
		}
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
