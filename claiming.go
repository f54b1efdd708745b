package lambdabiz

import (
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/alarm"
)

// claimNext claims a run driven by hand when it is due again after the commit that ended a claim. It
// ends with the claim, or when the run has left.
func (p *pump) claimNext(ended *RunRef) {
	wake := p.env.owner.wake()
	for failed := 0; ; {
		claims, err := p.env.owner.claim(p.base, ClaimRequest{
			Hand: p.info.ID, Follows: ended, Now: now(), Wait: time.Minute,
		})
		wait := p.env.config.PollInterval
		if wait < 0 {
			wait = time.Hour // nobody else uses the store
		}
		switch {
		case p.base.Err() != nil:
			return
		case errors.Is(err, ErrFenced), errors.Is(err, ErrNotFound):
			p.evict(ErrFenced)
			return
		case err != nil:
			failed++
			p.log().Error("claim again", "error", err, "try", failed)
			wait = commitBackoff.wait(failed)
		case len(claims.Runs) == 1 && claims.Runs[0].Paused: // and not claimed
			p.evict(&PausedError{ID: p.info.ID, Reason: claims.Runs[0].PauseReason})
			return
		case len(claims.Runs) == 1:
			if !p.resume(&claims.Runs[0]) {
				p.evict(ErrFenced)
			}
			return
		case !claims.NextWake.IsZero():
			wait = alarm.Snooze(time.Until(claims.NextWake))
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.submitter.done:
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// resume goes on with a run that stayed in memory after a commit ended its claim. It reports false
// when the claim does not follow on that commit.
func (p *pump) resume(c *Claimed) bool {
	p.mu.Lock()
	defer p.unlock()
	for p.phase == phaseLive && p.committing && c.Follows == p.ref.Fence {
		p.await(&p.moved) // the commit that ended the claim is durable, its verdict is on its way
	}
	if p.phase != phaseLive || !p.takeNext(c) {
		return false
	}
	p.rests = false
	p.env.idle.Remove(p)
	p.merge(c.Operations)
	p.acceptLocked(c.Messages)
	p.acceptLocked(p.ahead.of(c.Ref))
	p.fire(now())
	p.barrier.open(p.durable, p.claimed)
	p.moved.Broadcast()
	if p.phase == phaseLive && p.active == 0 {
		go func() { // the news has woken no branch, and the claim must be answered all the same
			p.mu.Lock()
			defer p.unlock()
			p.idleLocked()
		}()
	}
	return true
}
