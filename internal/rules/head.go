package rules

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Head is what is known of a run without its operations, its messages and its payloads: who has it, when it may be claimed,
// and what was asked of it. Two heads that are equal are the same to every rule.
type Head struct {
	ID, RunID, Name string
	Mode            lambdabiz.Mode
	Parent          *lambdabiz.Parent // nil for none; never another one
	Status          lambdabiz.Status

	Fence  int64
	Held   bool  // somebody may write it under the fence
	Worker int64 // the worker that holds it; 0 for nobody, and for one who drives it by hand

	// Due says from when on it may be claimed: zero for not by time, [AtOnce] for whatever the claimer's clock says.
	// While it is held it is zero, or AtOnce when it was resumed meanwhile.
	Due time.Time

	Paused       bool
	PauseReason  string // while it is paused
	Cancelled    bool
	CancelReason string
	Blocked      bool // the reason is the store's to keep: see [Release]

	Crashes int64 // holders in a row that died holding it
	Mark    int64 // how much was recorded when the last of them was found out
}

// AtOnce is the time at which a run is due that waits for no time. The one who made it due may have a clock that is ahead
// of the claimer's.
func AtOnce() time.Time { return time.UnixMicro(0).UTC() }

// IsAtOnce reports whether a time of a head is [AtOnce].
func IsAtOnce(due time.Time) bool { return due.Equal(AtOnce()) }

// Open reports whether the run has not ended.
func (h *Head) Open() bool { return !h.Status.Ended() }

// Writable reports whether a commit may write the run under a fence. h is nil for a run that is not there.
func (h *Head) Writable(fence int64) bool {
	return h != nil && h.Open() && h.Held && fence != 0 && h.Fence == fence
}

// Claimable reports whether a worker may have the run as soon as it is due.
func (h *Head) Claimable() bool {
	return h.Open() && !h.Held && !h.Paused && h.Mode == lambdabiz.ModeWorker
}

// IsDue reports whether the time of the run has come, whoever may claim it.
func (h *Head) IsDue(now time.Time) bool {
	return IsAtOnce(h.Due) || !h.Due.IsZero() && !h.Due.After(now)
}

// WakeAt is what others are told of when the run is due: one that waits for no time is due since it was scheduled.
func (h *Head) WakeAt(scheduledAt time.Time) time.Time {
	switch {
	case h.Worker != 0: // a resume that its holder has yet to see is no time of its own
		return time.Time{}
	case !IsAtOnce(h.Due):
		return h.Due
	case h.Claimable():
		return scheduledAt
	}
	return time.Time{}
}

// Deliver is the run after a message has come into its inbox: due at once, unless it is held, paused or blocked.
func Deliver(h Head) Head {
	if h.Open() && !h.Held && !h.Paused && !h.Blocked {
		h.Due = AtOnce()
	}
	return h
}

// end is the run after its end. Its fence stays: under it nothing can be written any more.
func (h Head) end(status lambdabiz.Status) Head {
	h.Status = status
	h.Held, h.Worker, h.Due = false, 0, time.Time{}
	h.Paused, h.PauseReason, h.Blocked = false, "", false
	return h
}
