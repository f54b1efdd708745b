package backendtest

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var hands = []lambdabiz.Feature{lambdabiz.FeatureHand}

var handsAndPauses = []lambdabiz.Feature{lambdabiz.FeatureHand, lambdabiz.FeaturePause}

var handChecks = []check{
	{name: "hand/workers never claim it", needs: hands, run: handWorkers},
	{name: "hand/its caller takes over at once", needs: hands, run: handTakeover},
	{name: "hand/only its own mode", needs: hands, run: handMode},
	{name: "hand/an ended run can be read on", needs: hands, run: handEnded},
	{name: "hand/an older caller is fenced", needs: hands, where: endsClaims, run: handOlder},
	{name: "hand/an older caller that sleeps is fenced", needs: hands, where: endsClaims, run: handSleeper},
	{name: "hand/a claim that follows waits for news", needs: hands, where: endsClaims, run: handNews},
	{name: "hand/a claim that follows hears of the end", needs: hands, where: endsClaims, run: handFollowsEnd},
	{name: "hand/a caller waits for a holder that lives", needs: hands, where: supervised, run: handWaits},
	{name: "hand/a start may claim", needs: hands, run: handStart},
	{name: "hand/a paused run can be read, and is left to its holder", needs: handsAndPauses, run: handPaused},
	{name: "hand/a claim that follows hears of a pause", needs: handsAndPauses, where: endsClaims, run: handFollowsPause},
}

func handStartOf(id string) lambdabiz.RunStart {
	s := startOf(id, 1)
	s.Mode = lambdabiz.ModeHand
	return s
}

func handWorkers(h *harness) {
	h.startNew(handStartOf("a"))
	want(h, h.load("a").Mode, lambdabiz.ModeHand, "Mode")
	h.notDue(at(1000), "a", "it is driven by hand")
	x := h.holdByHand("a")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	x.release(lambdabiz.Release{WakeAt: at(5)})
	h.raise("a", "e")
	h.notDue(at(1000), "a", "it is driven by hand, though its WakeAt and a message have come")
}

func handTakeover(h *harness) {
	h.startNew(handStartOf("a"))
	first := h.holdByHand("a")
	first.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, Started: true})
	h.raise("a", "e")
	first.die() // a home that supervises its holders waits for one that lives
	second := h.holdByHand("a")
	if second.Ref.Fence <= first.Ref.Fence {
		h.Fatalf("fence %d after %d", second.Ref.Fence, first.Ref.Fence)
	}
	want(h, len(second.Operations), 1, "operations")
	h.inbox(second.Messages, "e")
	first.fenced("a caller by hand after another one took over")
	v := second.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}, Fetch: true})
	if !h.describes.LongPoll {
		h.inbox(v.Messages, "e")
	}
	second.end()
}

func handMode(h *harness) {
	_, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "nobody"})
	h.is(err, lambdabiz.ErrNotFound, "Claim by hand of an unknown id")
	x := h.startHeld("a")
	_, err = h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "a"})
	h.is(err, lambdabiz.ErrMode, "Claim by hand of a worker's run")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
}

func handEnded(h *harness) {
	h.startNew(handStartOf("a"))
	x := h.holdByHand("a")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	x.end()
	y := h.holdByHand("a")
	want(h, y.Status, lambdabiz.StatusSucceeded, "status")
	want(h, len(y.Operations), 1, "operations")
	y.fenced("commit by hand for an ended run")
}

// overtaken expects that a caller whose claim has ended gets the run no more. On a long poll it may hear of it
// only when there is something to hear.
func (h *harness) overtaken(ended lambdabiz.RunRef, why string) {
	h.Helper()
	c, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: ended.ID, Follows: &ended, Now: at(5)})
	if len(c.Runs) > 0 {
		h.Fatalf("an older caller got the run: %s", why)
	}
	if err == nil && h.describes.LongPoll {
		return
	}
	h.is(err, lambdabiz.ErrFenced, "claim of an older caller: "+why)
}

func handOlder(h *harness) {
	h.startNew(handStartOf("a"))
	first := h.holdByHand("a")
	write := lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, Again: true}
	h.must(first.try(write).Err, "commit")
	second := h.holdByHand("a")
	want(h, len(second.Operations), 1, "operations")
	h.overtaken(first.Ref, "another one holds it")
	first.fenced("an older caller, while another one holds it")

	h.must(second.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}, Again: true}).Err, "commit")
	_, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "a", Follows: &first.Ref, Now: at(5)})
	h.is(err, lambdabiz.ErrFenced, "claim of an older caller, when the run is due for another one")
	first.fenced("an older caller, when the run is due for another one")
	second.take(second.Ref.Fence)
	want(h, len(second.Operations), 2, "operations of the caller that has it")
	second.end()
}

// handSleeper: the older caller waits while another one claims, and is told when something happens.
func handSleeper(h *harness) {
	h.startNew(handStartOf("a"))
	first := h.holdByHand("a")
	h.must(first.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}}).Err, "commit")
	second := h.holdByHand("a")
	h.must(second.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}}).Err, "commit")
	h.overtaken(first.Ref, "another one has claimed it, and waits")
	h.raise("a", "e")
	_, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "a", Follows: &first.Ref, Now: at(5)})
	h.is(err, lambdabiz.ErrFenced, "claim of an older caller, when a message has come for another one")
	second.take(second.Ref.Fence)
	h.inbox(second.Messages, "e")
	second.end()
}

func handNews(h *harness) {
	h.startNew(handStartOf("a"))
	x := h.holdByHand("a")
	h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, WakeAt: at(60)}).Err, "commit")
	follow := func(now time.Time) []lambdabiz.Claimed {
		h.reach(now)
		c, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "a", Follows: &x.Ref, Now: now})
		h.must(err, "claim that follows")
		return c.Runs
	}
	want(h, len(follow(at(59))), 0, "runs before anything has happened")
	h.raise("a", "e")
	runs := follow(at(59))
	want(h, len(runs), 1, "runs when a message has come")
	x.Claimed = runs[0]
	h.inbox(x.Messages, "e")
	h.must(x.try(lambdabiz.Commit{Seen: x.last(), WakeAt: at(100)}).Err, "commit")
	want(h, len(follow(at(99))), 0, "runs when the message was seen")
	want(h, len(follow(at(100).Add(h.late))), 1, "runs at its WakeAt")
}

func handFollowsEnd(h *harness) {
	h.startNew(handStartOf("a"))
	x := h.holdByHand("a")
	h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}}).Err, "commit")
	h.control(lambdabiz.ControlTerminate, "a")
	_, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "a", Follows: &x.Ref, Now: at(5)})
	h.is(err, lambdabiz.ErrFenced, "claim that follows, when the run has ended")
}

// handWaits: the home gives the run to a new caller when the holder's claim ends, and not again to the holder.
func handWaits(h *harness) {
	h.startNew(handStartOf("a"))
	first := h.holdByHand("a")
	type answer struct {
		claims lambdabiz.Claims
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		claims, err := h.b.Claim(background, lambdabiz.ClaimRequest{Hand: "a"})
		answers <- answer{claims, err}
	}()
	write := lambdabiz.Commit{At: at(0), Operations: []lambdabiz.Operation{operation(1)}} // at once
	h.must(first.try(write).Err, "commit of the holder")
	got := <-answers
	h.must(got.err, "claim of the new caller")
	want(h, len(got.claims.Runs), 1, "runs of the new caller")
	second := &holding{Claimed: got.claims.Runs[0], h: h, hand: true}
	want(h, len(second.Operations), 1, "operations")
	h.overtaken(first.Ref, "the new caller holds it")
	first.fenced("the holder before")
	second.end()
}

func handStart(h *harness) {
	s := handStartOf("a")
	s.Claim = true
	v := h.tryStart(s)
	h.must(v.Err, "start")
	x := &holding{h: h, hand: true}
	x.Ref, x.ID = v.Run, "a"
	if v.Run.Fence == 0 {
		x = h.holdByHand("a")
	}
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	want(h, len(h.load("a").Operations), 1, "operations")
	x.end()
}

func handPaused(h *harness) {
	h.startNew(handStartOf("a"))
	x := h.holdByHand("a")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	h.must(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlPause, ID: "a", Reason: "stock is counted"}), "pause")
	y := h.holdByHand("a")
	want(h, y.Paused, true, "Paused of what is claimed")
	want(h, y.PauseReason, "stock is counted", "PauseReason of what is claimed")
	want(h, len(y.Operations), 1, "operations")
	y.fenced("commit by hand for a paused run")
	x.commit(lambdabiz.Commit{ // as it does when a body has ended
		Seen: x.last(), Operations: []lambdabiz.Operation{operation(2)}, Release: &lambdabiz.Release{WakeAt: at(5)},
	})
	want(h, len(h.load("a").Operations), 2, "operations of the holder that was paused")

	h.control(lambdabiz.ControlResume, "a")
	z := h.holdByHand("a")
	want(h, z.Paused, false, "Paused after a resume")
	z.commit(lambdabiz.Commit{Seen: z.last(), Operations: []lambdabiz.Operation{operation(3)}})
	want(h, len(h.load("a").Operations), 3, "operations after a resume")
	z.end()
}

func handFollowsPause(h *harness) {
	h.startNew(handStartOf("a"))
	x := h.holdByHand("a")
	h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, WakeAt: at(60)}).Err, "commit")
	h.must(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlPause, ID: "a", Reason: "stock is counted"}), "pause")
	paused := h.byHand(lambdabiz.ClaimRequest{Hand: "a", Follows: &x.Ref, Now: at(5)})
	want(h, paused.Paused, true, "Paused of what the claim that follows gets")
	want(h, paused.PauseReason, "stock is counted", "PauseReason")
	(&holding{Claimed: paused, h: h, hand: true}).fenced("commit for a paused run")
}
