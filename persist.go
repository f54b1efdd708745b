package lambdabiz

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How often a commit fails alone until its run is blocked: by a verdict, which says that it is its own fault, and
// by an error that may be its own.
const (
	maxRefusals = 5
	maxFailures = 8
)

// submitter makes the commits of one run durable, one at a time. It knows nothing of what is in them.
type submitter struct {
	env        *env
	child      bool       // the run has a parent
	submission submission // of the commit that is on its way

	done      chan struct{} // closed when the run is dead
	abandoned chan struct{} // closed when the worker gives up on it
	givenUp   sync.Once
}

// commit makes a run's commit durable, however long that takes while the store fails: what is
// recorded in memory is not given up. A commit that fails alone again and again, though the store takes it that
// its run is blocked, blocks its run in the end.
func (w *submitter) commit(c *Commit) Verdict {
	if err := w.gaveUp(); err != nil {
		return Verdict{Err: err}
	}
	if operation, err := w.env.desc.checkCommit(c); err != nil {
		return w.block(c, operation, err)
	}
	s := &w.submission
	s.commit = c
	defer s.reset()
	doubt := false // one of the tries may have been applied
	for try, refusals, failures := 1, 0, 0; ; try++ {
		v, err := w.submitAgain(s, doubt)
		doubt = doubt || errors.Is(err, ErrOutcomeUnknown)
		if err == nil && (v.Err == nil || errors.Is(v.Err, ErrFenced) || errors.Is(v.Err, ErrStale)) {
			if v.Err == nil && w.makesDue(c) {
				w.env.owner.kick()
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
		w.env.log.Error("commit was not applied, trying again", "orchestration", c.Run.ID, "run", c.Run.RunID, "try", try, "error", err)
		if refusals >= maxRefusals || failures >= maxFailures {
			block := &submission{decision: decision{commit: poisoned(c, err), alone: true}}
			v, blockErr := w.env.committer.submit(context.Background(), block)
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
		if !w.pause(commitBackoff.wait(try)) {
			return Verdict{Err: ErrFenced}
		}
	}
}

// block blocks the run because of an operation in its commit, of which nothing is written.
func (w *submitter) block(c *Commit, operation string, err error) Verdict {
	w.env.log.Error("commit is too large", "orchestration", c.Run.ID, "run", c.Run.RunID, "operation", operation, "error", err)
	block := poisoned(c, err)
	block.Release.Blocked.Operation = operation
	for try := 1; ; try++ {
		v, err := w.env.committer.submit(context.Background(), &submission{decision: decision{commit: block, alone: true}})
		switch {
		case err == nil && v.Err == nil:
			return Verdict{Err: errPoisoned}
		case err == nil && errors.Is(v.Err, ErrFenced), !w.pause(commitBackoff.wait(try)):
			return Verdict{Err: ErrFenced}
		}
	}
}

// submitAgain submits a run's commit, of which an earlier try may have been applied if it is in doubt.
func (w *submitter) submitAgain(s *submission, doubt bool) (Verdict, error) {
	v, err := w.env.committer.submit(context.Background(), s)
	if err != nil || !doubt || !errors.Is(v.Err, ErrStale) {
		return v, err
	}
	c := s.commit
	if err = w.env.committer.settleDoubt(c); err == nil && !c.Conditional {
		s.reset()
		s.commit = c
		return w.env.committer.submit(context.Background(), s)
	}
	return v, err
}

// makesDue reports whether other runs may have something to do after the commit.
func (w *submitter) makesDue(c *Commit) bool {
	return len(c.Raises) > 0 || len(c.Starts) > 0 || len(c.Controls) > 0 ||
		c.Close != nil && (c.Close.Next != nil || w.child)
}

var commitBackoff = Backoff{Initial: 50 * time.Millisecond, Max: 5 * time.Second, Jitter: -1}

// pause waits before another try. It reports false when the run has left meanwhile.
func (w *submitter) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.done:
		return false
	case <-w.abandoned:
		return false
	}
}

// poisoned is what remains of a commit that the backend takes from nobody: the run is blocked.
func poisoned(c *Commit, err error) *Commit {
	at := now()
	return &Commit{Run: c.Run, Worker: c.Worker, At: at, Seen: c.Seen, Release: &Release{
		WakeAt:  at.Add(blockedBackoff.Max),
		Blocked: &Blocked{Reason: "its commit cannot be stored: " + err.Error(), Since: at, Times: 1},
	}}
}

// errPoisoned: the run was blocked instead of what its commit said.
var errPoisoned = errors.New("commit cannot be stored")

// gaveUp returns ErrFenced once this process has given the run up, because its store did not answer while the worker
// stopped: nothing more may be written for it here.
func (w *submitter) gaveUp() error {
	select {
	case <-w.abandoned:
		return ErrFenced
	default:
		return nil
	}
}

// giveUp ends the tries to commit anything.
func (w *submitter) giveUp() { w.givenUp.Do(func() { close(w.abandoned) }) }
