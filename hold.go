package lambdabiz

import "time"

// hold is how a run is held by this process. It does no I/O, and knows nothing of what is committed; run.mu guards it.
type hold struct {
	tenure  tenure
	ref     RunRef    // of the claim
	claimed bool      // ref may be committed with; false between commits where a commit ends the claim
	applied int64     // the fence of the last commit that was applied, where commits end claims
	until   time.Time // when the claim ends by itself; zero for never
	renew   bool      // the claim is too short for what comes: the next commit shall end it
}

// tenure is how long a claim lasts.
type tenure uint8

const (
	tenureLasting   tenure = iota // until the run is released, or the worker that has it is gone
	tenureOfACommit               // until a commit is made under it; the next claim comes when something has happened
)

// commitEndsClaim reports whether a commit ends the claim.
func (h *hold) commitEndsClaim() bool { return h.tenure == tenureOfACommit }

// takeClaim takes the claim that the run came with.
func (h *hold) takeClaim(c *Claimed) {
	h.ref, h.claimed, h.applied, h.until = c.Ref, true, c.Follows, c.Until
}

// isAfter reports whether this claim is the same as c, or a later one.
func (h *hold) isAfter(c *Claimed) bool { return h.ref.Fence >= c.Ref.Fence }

// takeNext takes a claim that follows on the last commit that was applied. It reports false, and takes nothing, if the run is
// claimed, or if the claim follows on another commit: then somebody else has had the run meanwhile.
func (h *hold) takeNext(c *Claimed) bool {
	if h.claimed || c.Follows != h.applied {
		return false
	}
	h.ref, h.claimed, h.until, h.renew = c.Ref, true, c.Until, false
	return true
}

// loseClaim notes that a commit has ended the claim.
func (h *hold) loseClaim() { h.claimed = false }

// lasts reports whether the claim goes on for so long, at a time.
func (h *hold) lasts(d time.Duration, t time.Time) bool {
	return h.until.IsZero() || h.until.Sub(t) >= d
}
