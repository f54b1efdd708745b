package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Start says what a start does to an id: create another run, fail, or answer with the run that is there. That is the run
// with the start's own run id, if the id has it, else the latest one, and nil for none.
func Start(existing *Head, s *lambdabiz.RunStart) (create bool, err error) {
	switch {
	case existing == nil:
		return true, nil
	case existing.RunID == s.RunID: // the same start, come twice
		return false, nil
	case existing.Name != s.Name:
		return false, fmt.Errorf("it belongs to definition %q: %w", existing.Name, lambdabiz.ErrExists)
	}
	ended := existing.Status.Ended()
	switch s.Policy {
	case lambdabiz.RejectExisting:
		return false, lambdabiz.ErrExists
	case lambdabiz.RejectOpen:
		if !ended {
			return false, fmt.Errorf("it is open: %w", lambdabiz.ErrExists)
		}
		return true, nil
	case lambdabiz.RestartEnded:
		return ended, nil
	case lambdabiz.RestartFailed:
		return ended && existing.Status != lambdabiz.StatusSucceeded, nil
	default:
		return false, nil
	}
}

// firstFence is the fence of a run that its start has claimed.
const firstFence = 1

// Claims reports whether a start gives the new run to who commits it: a worker, 0 for none, or one who drives by hand.
func Claims(s *lambdabiz.RunStart, worker int64) bool {
	return s.Claim && (s.Mode == lambdabiz.ModeHand || worker > 0)
}

// ClaimsAny reports whether a commit starts a run that its worker would hold. A worker that has been removed may not: nobody
// would ever take the run over. All of the commit is fenced then.
func ClaimsAny(c *lambdabiz.Commit) bool {
	return slices.ContainsFunc(c.Starts, func(s lambdabiz.RunStart) bool {
		return s.Mode == lambdabiz.ModeWorker && Claims(&s, c.Worker)
	})
}

// StillHeld reports whether a start that has come twice finds the run as it was claimed by it: the first answer may have
// been lost, and then nobody else knows that the worker has it.
func StillHeld(existing *Head, s *lambdabiz.RunStart, worker int64) bool {
	return existing.RunID == s.RunID && s.Mode == lambdabiz.ModeWorker && Claims(s, worker) &&
		existing.Open() && existing.Worker == worker && existing.Fence == firstFence
}

// New is a run that a start creates, committed by the worker with that number, 0 for none. Events that were kept for it come
// to its inbox before the claim of its start: none of them makes it due then.
func New(s *lambdabiz.RunStart, worker int64) Head {
	h := Head{
		ID: s.ID, RunID: s.RunID, Name: s.Name, Mode: s.Mode, Parent: s.Parent,
		Status: lambdabiz.StatusScheduled, Due: AtOnce(),
	}
	if !Claims(s, worker) {
		return h
	}
	if s.Mode == lambdabiz.ModeHand {
		worker = 0
	}
	h.Status = lambdabiz.StatusStarted
	return Claim(h, worker)
}

// Next is the run that continues another one, which is given as it was before its end. Nobody holds it. It has the id, the
// keys and the parent: who waits for a chain waits for its last run. It is paused or cancelled if that one is, and gets
// those of its messages that move ([Moves]).
func Next(before Head, s *lambdabiz.RunStart) Head {
	h := Head{
		ID: before.ID, RunID: s.RunID, Name: s.Name, Mode: s.Mode, Parent: before.Parent,
		Status: lambdabiz.StatusScheduled, Due: AtOnce(),
		Paused: before.Paused, PauseReason: before.PauseReason,
		Cancelled: before.Cancelled, CancelReason: before.CancelReason,
	}
	if h.Paused {
		h.Due = time.Time{}
	}
	return h
}

// Moves reports whether a message of a run goes to the one that continues it: what waits for the orchestration does. What
// came for operations of the run, the end of a child, stays, for operation numbers begin anew.
func Moves(kind lambdabiz.MessageKind) bool {
	return kind == lambdabiz.MessageEvent || kind == lambdabiz.MessageCancel || kind == lambdabiz.MessageDrop
}

// Stays reports whether a message cannot be consumed: every later holder has to see it.
func Stays(kind lambdabiz.MessageKind) bool { return kind == lambdabiz.MessageCancel }
