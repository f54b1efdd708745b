package backendtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// holding is a claimed run, as an engine holds it. Where commits end claims it claims again after
// each commit, so that the same check is good for both kinds of homes.
type holding struct {
	lambdabiz.Claimed
	h      *harness
	worker int64
	now    time.Time
	hand   bool
}

// hold claims the id's run for a worker and expects to get it.
func (h *harness) hold(worker int64, id string) *holding {
	h.Helper()
	return h.holdAt(worker, at(4), id)
}

func (h *harness) holdAt(worker int64, now time.Time, id string) *holding {
	h.Helper()
	x := h.tryHold(worker, now, id)
	if x == nil {
		h.Fatalf("Claim: the run of %s is not there", id)
	}
	return x
}

// tryHold returns nil when the run is not due.
func (h *harness) tryHold(worker int64, now time.Time, id string) *holding {
	h.Helper()
	claims := h.claimAt(worker, now.Add(h.late), id)
	switch len(claims.Runs) {
	case 0:
		return nil
	case 1:
	default:
		h.Fatalf("Claim: %d runs of %s", len(claims.Runs), id)
	}
	return &holding{Claimed: claims.Runs[0], h: h, worker: worker, now: now}
}

// startHeld starts an id and claims it for a new worker.
func (h *harness) startHeld(id string) *holding {
	h.Helper()
	h.start(id)
	return h.hold(h.join(nameOf(id)), id)
}

// last is the number of the newest message in the claim.
func (x *holding) last() int64 {
	if n := len(x.Messages); n > 0 {
		return x.Messages[n-1].Number
	}
	return 0
}

// fill makes a commit one of this claim.
func (x *holding) fill(c lambdabiz.Commit) *lambdabiz.Commit {
	ref := x.Ref
	c.Run, c.Worker = &ref, x.worker
	if c.At.IsZero() {
		c.At = at(3)
	}
	return &c
}

// try commits and returns whatever the verdict is. Where commits end claims the run is not claimed
// again.
func (x *holding) try(c lambdabiz.Commit) lambdabiz.Verdict {
	x.h.Helper()
	return x.h.commitAll(x.fill(c))[0]
}

// commit expects the commit to be applied, and holds the run afterwards. Where every close is conditional it
// may need another claim.
func (x *holding) commit(c lambdabiz.Commit) lambdabiz.Verdict {
	x.h.Helper()
	ends := x.h.endsClaim && c.Release == nil && c.Close == nil
	if ends {
		c.Again = true
	}
	v := x.try(c)
	if c.Close != nil && x.h.describes.CloseOnlyConditional && errors.Is(v.Err, lambdabiz.ErrStale) {
		x.take(x.Follows)
		v = x.try(c)
	}
	x.h.must(v.Err, "verdict")
	if ends {
		x.take(x.Ref.Fence)
	}
	return v
}

// take claims the run once more after a commit that ended the claim; follows is the fence of the last commit
// that was applied.
func (x *holding) take(follows int64) {
	x.h.Helper()
	before := x.Ref
	if x.hand {
		x.h.reach(at(4).Add(x.h.late))
		x.Claimed = x.h.byHand(lambdabiz.ClaimRequest{Hand: x.ID, Follows: &before, Now: at(4)})
	} else {
		*x = *x.h.holdAt(x.worker, x.now, x.ID)
	}
	if x.Ref.Fence <= before.Fence {
		x.h.Fatalf("claim after a commit: fence %d, it was %d before", x.Ref.Fence, before.Fence)
	}
	if x.Follows != follows {
		x.h.Fatalf("claim after a commit under fence %d: Follows is %d", follows, x.Follows)
	}
}

// die lets the holder die without a word, and is seen to have died.
func (x *holding) die() {
	x.h.Helper()
	x.h.dies(x)
}

// dies is die as another process sees it.
func (h *harness) dies(x *holding) {
	h.Helper()
	if x.worker != 0 {
		h.remove(x.worker)
	}
	if h.describes.Supervised && !x.Until.IsZero() {
		h.reach(x.Until.Add(h.late))
	}
}

// release parks the run; it has seen every message of its claim.
func (x *holding) release(r lambdabiz.Release) {
	x.h.Helper()
	x.commit(lambdabiz.Commit{Release: &r, Seen: x.last()})
}

// end closes the run with a result.
func (x *holding) end() {
	x.h.Helper()
	x.commit(lambdabiz.Commit{Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: text("out")}})
}

// fail closes the run with an error.
func (x *holding) fail() {
	x.h.Helper()
	x.commit(lambdabiz.Commit{Close: &lambdabiz.Close{
		Status: lambdabiz.StatusFailed, Error: &lambdabiz.Failure{Message: "broken"},
	}})
}

// arrived returns the messages of the run, which is held.
func (x *holding) arrived() []lambdabiz.Message {
	x.h.Helper()
	if !x.h.describes.Lags {
		return x.h.load(x.ID).Messages
	}
	x.commit(lambdabiz.Commit{}) // the next claim has them
	x.commit(lambdabiz.Commit{}) // and the copy
	return x.Messages
}

// fenced expects that the claim can record nothing.
func (x *holding) fenced(why string) {
	x.h.Helper()
	before := x.h.loadRun(x.ID, x.Ref.RunID)
	v := x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(99)}, Progress: text("stolen")})
	x.h.is(v.Err, lambdabiz.ErrFenced, why)
	after := x.h.loadRun(x.ID, x.Ref.RunID)
	if len(after.Operations) != len(before.Operations) || string(after.Progress) != string(before.Progress) {
		x.h.Fatalf("%s: a fenced commit has written", why)
	}
}

// operation is an ended step.
func operation(number int64) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: number, ID: fmt.Sprintf("step-%d", number), Kind: lambdabiz.KindStep,
		Status: lambdabiz.StatusSucceeded, Attempts: 1, Result: text("done"),
		ScheduledAt: at(1), StartedAt: at(1), EndedAt: at(2),
	}
}

// pending is an operation of a kind that has begun.
func pending(number int64, kind lambdabiz.Kind) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: number, ID: fmt.Sprintf("op-%d", number), Kind: kind, Name: "x",
		Status: lambdabiz.StatusStarted, ScheduledAt: at(1), StartedAt: at(1),
	}
}

func summarise(messages []lambdabiz.Message) []string {
	out := []string{}
	for _, m := range messages {
		switch m.Kind {
		case lambdabiz.MessageEvent:
			out = append(out, m.Name)
		case lambdabiz.MessageChild:
			out = append(out, fmt.Sprintf("child %d %v", m.Operation, m.Status))
		case lambdabiz.MessageCancel:
			out = append(out, "cancel")
		case lambdabiz.MessagePause:
			out = append(out, "pause")
		case lambdabiz.MessageDrop:
			out = append(out, fmt.Sprint("drop ", m.Operation))
		default:
			out = append(out, fmt.Sprintf("kind %d", m.Kind))
		}
	}
	return out
}

func (h *harness) inbox(messages []lambdabiz.Message, names ...string) {
	h.Helper()
	if names == nil {
		names = []string{}
	}
	want(h, summarise(messages), names, "messages")
	for i := 1; i < len(messages); i++ {
		if messages[i].Number <= messages[i-1].Number {
			h.Fatalf("messages: number %d after %d", messages[i].Number, messages[i-1].Number)
		}
	}
}

func (h *harness) holdByHand(id string) *holding {
	h.Helper()
	return &holding{Claimed: h.byHand(lambdabiz.ClaimRequest{Hand: id}), h: h, hand: true}
}

// byHand expects to get the run. A long poll may end without it.
func (h *harness) byHand(r lambdabiz.ClaimRequest) lambdabiz.Claimed {
	h.Helper()
	for range 10 {
		claims, err := h.b.Claim(background, r)
		h.must(err, "Claim by hand")
		if len(claims.Runs) == 1 {
			return claims.Runs[0]
		}
		if !h.describes.LongPoll || len(claims.Runs) > 1 {
			h.Fatalf("Claim by hand: %d runs", len(claims.Runs))
		}
	}
	h.Fatalf("Claim by hand: none")
	return lambdabiz.Claimed{}
}
