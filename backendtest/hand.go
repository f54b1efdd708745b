package backendtest

import "github.com/lambdabiz/lambdabiz"

var hands = []lambdabiz.Feature{lambdabiz.FeatureHand}

var handChecks = []check{
	{name: "hand/workers never claim it", needs: hands, run: handWorkers},
	{name: "hand/its caller takes over at once", needs: hands, run: handTakeover},
	{name: "hand/only its own mode", needs: hands, run: handMode},
	{name: "hand/an ended run can be read on", needs: hands, run: handEnded},
	{name: "hand/a start may claim", needs: hands, run: handStart},
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
