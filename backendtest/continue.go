package backendtest

import "github.com/lambdabiz/lambdabiz"

var continues = []lambdabiz.Feature{lambdabiz.FeatureContinueAsNew}

var continueChecks = []check{
	{name: "continue/ends one run and begins the next", needs: continues, run: continueBegins},
	{name: "continue/unconsumed events move", needs: continues, run: continueEvents},
	{name: "continue/messages are counted on", needs: continues, where: delivers, run: continueCounts},
	{name: "continue/a cancellation moves", needs: continues, run: continueCancel},
	{name: "continue/a pause moves, and what its holder was told of it does not", needs: append(pauses, continues...),
		where: delivers, run: continuePaused},
	{name: "continue/keys are known in the whole chain", needs: continues, run: continueKeys},
	{name: "continue/the parent hears of the last run only", needs: continues, run: continueParent},
	{name: "continue/a condition that does not hold begins nothing", needs: continues, run: continueStale},
}

func (x *holding) continueAsNew(number int) {
	x.h.Helper()
	next := startOf(x.ID, number)
	next.Input = text("next")
	x.commit(lambdabiz.Commit{
		Seen:  x.last(),
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next},
	})
}

func continueBegins(h *harness) {
	x := h.startHeld("a")
	old := *x
	next := startOf("a", 2)
	next.Input, next.Tags, next.Deadline = text("next"), map[string]string{"k": "v"}, at(7200)
	next.Claim = true // which nobody looks at
	x.commit(lambdabiz.Commit{
		At: at(60), Operations: []lambdabiz.Operation{operation(1)},
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next},
	})
	first, second := h.loadRun("a", "a#1"), h.load("a")
	want(h, first.Status, lambdabiz.StatusSucceeded, "status of the first run")
	want(h, first.ContinuedAs, "a#2", "ContinuedAs")
	h.stamped(first.EndedAt, at(60), "EndedAt")
	want(h, second.RunID, "a#2", "latest run")
	want(h, second.Previous, "a#1", "Previous")
	want(h, second.Status.Ended(), false, "status of the next run is an ended one")
	want(h, string(second.Input), string(text("next")), "Input")
	want(h, second.Tags, next.Tags, "Tags")
	want(h, normalTime(second.Deadline), at(7200), "Deadline")
	want(h, normalTime(second.ScheduledAt), at(60), "ScheduledAt")
	want(h, len(second.Operations), 0, "operations of the next run")
	old.fenced("a holder of the first run")
	want(h, h.due(at(60), "a", "the next run is new").RunID, "a#2", "run claimed")
}

func continueEvents(h *harness) {
	h.start("a")
	for _, name := range []string{"e1", "e2", "e3"} {
		h.raise("a", name)
	}
	x := h.hold(h.join(), "a")
	next := startOf("a", 2)
	x.commit(lambdabiz.Commit{
		Seen: x.last(), Consumed: []int64{x.Messages[1].Number},
		Close:  &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next},
		Raises: []lambdabiz.Raise{{ID: "a", Name: "self"}},
	})
	h.raise("a", "e4")
	h.inbox(h.load("a").Messages, "e1", "e3", "self", "e4")
	x = h.hold(x.worker, "a")
	h.inbox(x.Messages, "e1", "e3", "self", "e4")
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{x.Messages[0].Number}})
	h.inbox(h.load("a").Messages, "e3", "self", "e4")
	want(h, len(h.loadRun("a", "a#1").Messages), 0, "messages left in the first run")
}

// continueCounts: the numbers of messages grow in the whole chain, or one that moves would come again, or not at all.
func continueCounts(h *harness) {
	h.start("a")
	h.raise("a", "e1")
	h.raise("a", "e2")
	x := h.hold(h.join(), "a")
	seen := x.last()
	x.commit(lambdabiz.Commit{Seen: seen, Consumed: []int64{x.Messages[0].Number, seen}})
	x.continueAsNew(2)
	h.raise("a", "e3")
	x = h.hold(x.worker, "a")
	h.inbox(x.Messages, "e3")
	if x.last() <= seen {
		h.Fatalf("the first message of the next run has number %d, the last of the one before had %d", x.last(), seen)
	}
}

func continueCancel(h *harness) {
	h.start("a")
	h.control(lambdabiz.ControlCancel, "a")
	h.hold(h.join(), "a").continueAsNew(2)
	r := h.load("a")
	want(h, r.RunID, "a#2", "latest run")
	want(h, r.CancelRequested, true, "CancelRequested")
	h.inbox(r.Messages, "cancel")
	h.control(lambdabiz.ControlCancel, "a")
	h.inbox(h.load("a").Messages, "cancel")
}

func continuePaused(h *harness) {
	pause := lambdabiz.Control{Kind: lambdabiz.ControlPause, Reason: "stock is counted"}
	for _, before := range []bool{true, false} {
		id := map[bool]string{true: "paused before", false: "paused by the same commit"}[before]
		x := h.startHeld(id)
		pause.ID = id
		next := startOf(id, 2)
		end := lambdabiz.Commit{Seen: x.last(), Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next}}
		if before {
			h.must(h.tryControl(pause), "pause")
		} else {
			end.Controls = []lambdabiz.Control{pause}
		}
		x.commit(end)
		r := h.load(id)
		want(h, r.RunID, next.RunID, "latest run")
		want(h, r.Paused, true, "Paused")
		want(h, r.PauseReason, "stock is counted", "PauseReason")
		h.inbox(r.Messages)
		h.notDue(at(1000), id, "it is paused")
		h.control(lambdabiz.ControlResume, id)
		h.inbox(h.due(at(4), id, "it was resumed").Messages)
	}
}

func continueKeys(h *harness) {
	h.start("a")
	h.must(h.raiseKey("a", "k"), "raise")
	x := h.hold(h.join(), "a")
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{x.last()}})
	x.continueAsNew(2)
	h.must(h.raiseKey("a", "k"), "raise with a key that the first run has seen")
	h.inbox(h.load("a").Messages)
	h.must(h.tryRaise(lambdabiz.Raise{ID: "a", RunID: "a#1", Name: "e", Key: "k"}),
		"raise in the first run with a key that it has seen")
	h.is(h.tryRaise(lambdabiz.Raise{ID: "a", RunID: "a#1", Name: "e", Key: "new"}), lambdabiz.ErrClosed,
		"raise in the first run with a new key")
	h.hold(x.worker, "a").continueAsNew(3)
	h.must(h.raiseKey("a", "k"), "raise with a key that the first run of three has seen")
	h.hold(x.worker, "a").end()
	h.must(h.raiseKey("a", "k"), "raise with a known key after the end of the chain")
	want(h, len(h.loadRun("a", "a#3").Messages), 0, "messages of the last run")
}

func continueParent(h *harness) {
	x := h.startHeld("p")
	c := x.startChild("a", false)
	c.continueAsNew(2)
	h.inbox(x.arrived())
	want(h, h.load("a").Parent, &lambdabiz.Parent{ID: "p", RunID: "p#1", Operation: 1}, "Parent of the next run")
	h.hold(c.worker, "a").end()
	h.inbox(x.arrived(), "child 1 SUCCEEDED")
}

func continueStale(h *harness) {
	x := h.startHeld("a")
	h.raise("a", "e")
	next := startOf("a", 2)
	v := x.try(lambdabiz.Commit{
		Conditional: true, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next},
	})
	h.is(v.Err, lambdabiz.ErrStale, "conditional ContinueAsNew")
	r := h.load("a")
	want(h, r.RunID, "a#1", "latest run")
	want(h, r.Status.Ended(), false, "status is an ended one")
	h.inbox(r.Messages, "e")
}
