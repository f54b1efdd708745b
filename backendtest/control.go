package backendtest

import (
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

var controlChecks = []check{
	{name: "control/needs an open run", run: controlRefused},
	{name: "control/a run id names the run", run: controlRunID},
	{name: "control/cancel puts one message", run: cancelOnce},
	{name: "control/cancel wakes a parked run", run: cancelWakes},
	{name: "control/terminate ends the run now", run: terminateNow},
	{name: "control/terminate takes it from its holder", run: terminateFences},
	{name: "control/one that terminates itself ends once", where: delivers, run: terminateItself},
	{name: "control/drop puts a message and lets a blocked run go on", run: dropUnblocks},
	{name: "control/the reason of a cancellation can be read", run: cancelReason},
	{name: "control/the reason of a pause can be read while it lasts", needs: pauses, run: pauseReason},
	{name: "control/drop lets a paused run be", needs: pauses, run: dropPaused},
}

func controlRefused(h *harness) {
	h.startHeld("ended").end()
	for kind := lambdabiz.ControlCancel; kind <= lambdabiz.ControlDrop; kind++ {
		if h.refuses(lambdabiz.FeaturePause) && (kind == lambdabiz.ControlPause || kind == lambdabiz.ControlResume) {
			continue
		}
		h.is(h.tryControl(lambdabiz.Control{Kind: kind, ID: "nobody"}), lambdabiz.ErrNotFound, "control of an unknown id")
		h.is(h.tryControl(lambdabiz.Control{Kind: kind, ID: "ended"}), lambdabiz.ErrClosed, "control of an ended run")
	}
	want(h, h.load("ended").Status, lambdabiz.StatusSucceeded, "status")
}

func controlRunID(h *harness) {
	h.start("a")
	cancel := lambdabiz.Control{Kind: lambdabiz.ControlCancel, ID: "a", RunID: "a#2"}
	h.is(h.tryControl(cancel), lambdabiz.ErrNotFound, "control of a run that does not exist")
	cancel.RunID = "a#1"
	h.must(h.tryControl(cancel), "control of the run")
	want(h, h.load("a").CancelRequested, true, "CancelRequested")
}

func cancelOnce(h *harness) {
	x := h.startHeld("a")
	h.control(lambdabiz.ControlCancel, "a")
	h.control(lambdabiz.ControlCancel, "a")
	messages := x.arrived()
	h.inbox(messages, "cancel")
	r := h.load("a")
	want(h, r.CancelRequested, true, "CancelRequested")
	want(h, r.Status.Ended(), false, "status is an ended one")
	if e := messages[0].Error; e == nil || !strings.Contains(e.Message, "because") {
		h.Fatalf("Error of the message has not the reason: %+v", e)
	}
	x.unseen("cancel")
	x.Messages = messages
	x.release(lambdabiz.Release{WakeAt: at(5)})
	x = h.holdAt(h.join(), at(5), "a")
	h.inbox(x.Messages, "cancel")
	want(h, x.CancelRequested, true, "CancelRequested of a claim")
	x.commit(lambdabiz.Commit{Seen: x.last(), Close: &lambdabiz.Close{Status: lambdabiz.StatusCancelled}})
	want(h, h.load("a").Status, lambdabiz.StatusCancelled, "status")
}

// unseen expects that the holder is told of a message that has arrived.
func (x *holding) unseen(name string) {
	x.h.Helper()
	if x.h.describes.CloseOnlyConditional || x.h.describes.LongPoll {
		return // its next claim tells
	}
	x.h.is(x.try(lambdabiz.Commit{Conditional: true, Release: &lambdabiz.Release{}}).Err, lambdabiz.ErrStale,
		"release that has not seen the "+name)
	x.h.inbox(x.h.messagesFor(x.worker, 0).Arrived[0].Messages, name)
}

func cancelReason(h *harness) {
	const reason = "the customer has changed her mind \"again\" \u00e9"
	x := h.startHeld("a")
	for _, given := range []string{reason, "another one"} {
		h.must(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlCancel, ID: "a", Reason: given}), "cancel")
	}
	x.Messages = x.arrived()
	want(h, h.load("a").CancelReason, reason, "CancelReason")
	x.commit(lambdabiz.Commit{Seen: x.last(), Close: &lambdabiz.Close{Status: lambdabiz.StatusCancelled}})
	want(h, h.load("a").CancelReason, reason, "CancelReason after the end")
	h.start("b")
	h.must(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlCancel, ID: "b"}), "cancel without a reason")
	want(h, h.load("b").CancelReason, "", "CancelReason that nobody gave")
}

func pauseReason(h *harness) {
	pause := func(reason string) {
		h.Helper()
		h.must(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlPause, ID: "a", Reason: reason}), "pause")
	}
	h.start("a")
	pause("stock is counted")
	pause("another one")
	want(h, h.load("a").PauseReason, "stock is counted", "PauseReason")
	h.control(lambdabiz.ControlResume, "a")
	want(h, h.load("a").PauseReason, "", "PauseReason after a resume")
	pause("")
	want(h, h.load("a").PauseReason, "", "PauseReason that nobody gave")
	h.control(lambdabiz.ControlResume, "a")
	pause("once more")
	want(h, h.load("a").PauseReason, "once more", "PauseReason of another pause")
	h.control(lambdabiz.ControlTerminate, "a")
	want(h, h.load("a").PauseReason, "", "PauseReason after the end")
}

func cancelWakes(h *harness) {
	x := h.startHeld("a")
	x.release(lambdabiz.Release{})
	h.control(lambdabiz.ControlCancel, "a")
	h.inbox(h.due(at(4), "a", "it shall end").Messages, "cancel")
}

func terminateNow(h *harness) {
	h.start("a")
	h.control(lambdabiz.ControlTerminate, "a")
	r := h.load("a")
	want(h, r.Status, lambdabiz.StatusTerminated, "status")
	h.stamped(r.EndedAt, at(1), "EndedAt")
	if r.Error == nil || !strings.HasPrefix(r.Error.Message, lambdabiz.ErrTerminated.Error()+": because") ||
		!hasCode(r.Error, "terminated") {
		h.Fatalf("Error: %+v, want ErrTerminated and the reason in it", r.Error)
	}
	h.notDue(at(1000), "a", "it has ended")
	h.is(h.tryRaise(lambdabiz.Raise{ID: "a", Name: "e"}), lambdabiz.ErrClosed, "raise")
}

func terminateFences(h *harness) {
	x := h.startHeld("a")
	h.control(lambdabiz.ControlTerminate, "a")
	x.fenced("its holder, after a termination")
	want(h, h.load("a").Worker, int64(0), "Worker")
	h.leave(x.worker)
	want(h, h.load("a").Status, lambdabiz.StatusTerminated, "status after its holder has left")
	h.notDue(at(1000), "a", "it has ended")
}

func terminateItself(h *harness) {
	x := h.startHeld("p")
	c := x.startChild("c", false)
	next := startOf("c", 2)
	c.commit(lambdabiz.Commit{
		Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlTerminate, ID: "c"}},
		Close:    &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &next},
	})
	r := h.load("c")
	want(h, r.RunID, "c#1", "latest run")
	want(h, r.Status, lambdabiz.StatusTerminated, "status")
	want(h, r.ContinuedAs, "", "ContinuedAs")
	h.inbox(x.arrived(), "child 1 TERMINATED")
}

func dropUnblocks(h *harness) {
	h.startBlocked("a", "v1")
	h.raise("a", "e")
	h.notDue(at(499), "a", "it is blocked, though a message has come")
	h.drop("a", 7)
	want(h, h.load("a").Blocked == nil, true, "Blocked is nil")
	x := h.holdAt(h.join(), at(400), "a")
	h.inbox(x.Messages, "e", "drop 7")
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{x.Messages[0].Number, x.last()}})
	h.drop("a", 8)
	messages := x.arrived()
	h.inbox(messages, "drop 8")
	x.unseen("drop 8")
}

func dropPaused(h *harness) {
	h.startHeld("a").release(lambdabiz.Release{})
	h.control(lambdabiz.ControlPause, "a")
	h.drop("a", 7)
	want(h, h.load("a").Paused, true, "Paused")
	h.notDue(at(1000), "a", "it is paused")
	h.control(lambdabiz.ControlResume, "a")
	h.inbox(h.due(at(4), "a", "it was resumed").Messages, "drop 7")
}

func (h *harness) drop(id string, number int64) {
	h.Helper()
	h.must(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlDrop, ID: id, Number: number}), "drop")
}

var pauses = []lambdabiz.Feature{lambdabiz.FeaturePause}

var pauseChecks = []check{
	{name: "pause/a paused run is not due", needs: pauses, run: pauseNotDue},
	{name: "pause/a new run can be paused", needs: pauses, run: pauseNew},
	{name: "pause/its holder gets a message", needs: pauses, run: pauseHeld},
	{name: "pause/a resume that overtakes the release is not lost", needs: pauses, where: delivers, run: pauseOvertaken},
	{name: "pause/is idempotent", needs: pauses, run: pauseIdempotent},
	{name: "pause/a paused run can be terminated", needs: pauses, run: pauseTerminate},
	{name: "pause/a holder's death does not resume", needs: pauses, run: pauseCrash},
}

func pauseNotDue(h *harness) {
	x := h.startHeld("a")
	x.release(lambdabiz.Release{WakeAt: at(10)})
	h.control(lambdabiz.ControlPause, "a")
	want(h, h.load("a").Paused, true, "Paused")
	h.raise("a", "e")
	h.notDue(at(1000), "a", "it is paused, though its WakeAt and a message have come")
	h.control(lambdabiz.ControlResume, "a")
	want(h, h.load("a").Paused, false, "Paused after a resume")
	h.inbox(h.due(at(4), "a", "it was resumed").Messages, "e")
}

func pauseNew(h *harness) {
	h.start("a")
	h.control(lambdabiz.ControlPause, "a")
	h.notDue(at(1000), "a", "it is paused")
	if !h.refuses(lambdabiz.FeatureList) {
		want(h, len(h.list(lambdabiz.Filter{Paused: true})), 1, "paused runs in the list")
	}
	h.control(lambdabiz.ControlResume, "a")
	if !h.refuses(lambdabiz.FeatureList) {
		want(h, len(h.list(lambdabiz.Filter{Paused: true})), 0, "paused runs in the list after a resume")
	}
	h.due(at(4), "a", "it was resumed")
}

func pauseHeld(h *harness) {
	x := h.startHeld("a")
	h.control(lambdabiz.ControlPause, "a")
	if h.describes.LongPoll { // it hears of it when it has no claim any more
		x.release(lambdabiz.Release{WakeAt: at(5)})
	} else {
		r := h.load("a")
		h.inbox(r.Messages, "pause")
		x.unseen("pause")
		number := r.Messages[0].Number
		x.commit(lambdabiz.Commit{
			Seen: number, Conditional: true, Consumed: []int64{number}, Release: &lambdabiz.Release{WakeAt: at(5)},
		})
		h.inbox(h.load("a").Messages)
	}
	h.notDue(at(1000), "a", "it is paused")
	h.control(lambdabiz.ControlResume, "a")
	h.due(at(4), "a", "it was resumed")
}

func pauseOvertaken(h *harness) {
	x := h.startHeld("a")
	h.control(lambdabiz.ControlPause, "a")
	messages := h.messagesFor(x.worker, 0).Arrived[0].Messages
	h.control(lambdabiz.ControlResume, "a")
	// The holder answers the pause that it knows of.
	number := messages[len(messages)-1].Number
	v := x.try(lambdabiz.Commit{Seen: number, Consumed: []int64{number}, Release: &lambdabiz.Release{}})
	h.must(v.Err, "release")
	h.due(at(4), "a", "it was resumed before it was released")
}

func pauseIdempotent(h *harness) {
	h.startHeld("a")
	h.control(lambdabiz.ControlPause, "a")
	h.control(lambdabiz.ControlPause, "a")
	if !h.describes.Lags {
		h.inbox(h.load("a").Messages, "pause")
	}
	h.start("b")
	h.control(lambdabiz.ControlPause, "b")
	h.control(lambdabiz.ControlPause, "b")
	h.inbox(h.load("b").Messages)
	h.control(lambdabiz.ControlResume, "b")
	h.control(lambdabiz.ControlResume, "b")
	h.due(at(4), "b", "it was resumed")
}

func pauseTerminate(h *harness) {
	h.start("a")
	h.control(lambdabiz.ControlPause, "a")
	h.control(lambdabiz.ControlCancel, "a")
	h.inbox(h.load("a").Messages, "cancel")
	h.notDue(at(1000), "a", "it is paused")
	h.control(lambdabiz.ControlTerminate, "a")
	want(h, h.load("a").Status, lambdabiz.StatusTerminated, "status")
}

func pauseCrash(h *harness) {
	x := h.startHeld("a")
	h.control(lambdabiz.ControlPause, "a")
	x.die()
	h.notDue(at(1000), "a", "it is paused, though its holder has died")
	h.control(lambdabiz.ControlResume, "a")
	h.due(at(4), "a", "it was resumed")
}
