package backendtest

import "github.com/lambdabiz/lambdabiz"

var performChecks = []check{
	{
		name: "perform/a timer comes back ended, and never early", where: performing(lambdabiz.KindTimer),
		run: performTimer,
	},
	{name: "perform/a timer that ended otherwise wakes nobody", where: performing(lambdabiz.KindTimer), run: performNoTimer},
	{name: "perform/a raised event arrives and comes back ended", where: performing(lambdabiz.KindRaise), run: performRaise},
	{name: "perform/a raised event that is refused fails", where: performing(lambdabiz.KindRaise), run: performRefused},
	{name: "perform/a child that is refused fails", where: performing(lambdabiz.KindChild), run: performTaken},
	{name: "perform/a detached child has ended when it began", where: performing(lambdabiz.KindChild), run: performDetached},
	{name: "perform/a parent cancels its child", where: performing(lambdabiz.KindChild), run: performCancel},
}

func performTimer(h *harness) {
	h.start("a")
	x := h.holdAt(h.join(), at(4), "a")
	first, second := pending(1, lambdabiz.KindTimer), pending(2, lambdabiz.KindTimer)
	first.DueAt, second.DueAt = at(100), at(200)
	h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{first, second}, WakeAt: at(300)}).Err, "commit")
	h.notDue(at(99), "a", "no timer has ended")
	x = h.holdAt(x.worker, at(100), "a")
	want(h, x.Operations[0].Status, lambdabiz.StatusSucceeded, "status of the first timer")
	if ended := x.Operations[0].EndedAt; ended.Before(at(100)) {
		h.Fatalf("the timer ended at %v, before it was due", ended)
	}
	want(h, x.Operations[1].Status, lambdabiz.StatusStarted, "status of the second timer")
	if !h.describes.Lags {
		want(h, h.load("a").Operations[0].Status, lambdabiz.StatusSucceeded, "stored status of the first timer")
	}
	x.release(lambdabiz.Release{})
	h.notDue(at(199), "a", "the second timer has not ended")
	x = h.holdAt(x.worker, at(250), "a")
	want(h, x.Operations[1].Status, lambdabiz.StatusSucceeded, "status of the second timer")
	x.end()
}

func performNoTimer(h *harness) {
	x := h.startHeld("a")
	o := pending(1, lambdabiz.KindTimer)
	o.DueAt = at(100)
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{o}})
	o.Status, o.EndedAt = lambdabiz.StatusCancelled, at(5)
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{o}})
	x.release(lambdabiz.Release{})
	h.notDue(at(200), "a", "its timer was cancelled")
	want(h, h.load("a").Operations[0].Status, lambdabiz.StatusCancelled, "status of the timer")
}

// began expects the operations to have come back with these statuses.
func (x *holding) began(why string, statuses ...lambdabiz.Status) {
	x.h.Helper()
	for i, status := range statuses {
		if o := x.Operations[i]; o.Status != status || status.Ended() && o.EndedAt.IsZero() {
			x.h.Fatalf("%s: %+v, want %v", why, o, status)
		}
	}
}

func performRaise(h *harness) {
	h.start("b")
	x := h.startHeld("a")
	o := pending(1, lambdabiz.KindRaise)
	o.Target = "b"
	h.must(x.try(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{o},
		Raises:     []lambdabiz.Raise{{ID: "b", Name: "from a", Key: "k", Payload: text("p"), Operation: 1}},
	}).Err, "commit")
	x = h.hold(x.worker, "a")
	x.began("a raised event", lambdabiz.StatusSucceeded)
	h.must(h.raiseKey("b", "k"), "raise with the key of an event that a run has raised")
	y := h.hold(x.worker, "b")
	h.inbox(y.Messages, "from a")
	want(h, string(y.Messages[0].Payload), string(text("p")), "payload")
	y.end()
	x.end()
}

func performRefused(h *harness) {
	h.startHeld("ended").end()
	x := h.startHeld("a")
	var c lambdabiz.Commit
	for i, id := range []string{"nobody", "ended"} {
		o := pending(int64(i+1), lambdabiz.KindRaise)
		o.Target = id
		c.Operations = append(c.Operations, o)
		c.Raises = append(c.Raises, lambdabiz.Raise{ID: id, Name: "e", Operation: o.Number})
	}
	h.must(x.try(c).Err, "commit")
	x = h.hold(x.worker, "a")
	x.commit(lambdabiz.Commit{}) // both outcomes are there, if they came one by one
	x.began("a raised event", lambdabiz.StatusFailed, lambdabiz.StatusFailed)
	for i, code := range []string{"notFound", "closed"} {
		if f := x.Operations[i].Error; f == nil || !hasCode(f, code) {
			h.Fatalf("error of a raised event: %+v, want code %q in it", f, code)
		}
	}
	x.end()
}

func performTaken(h *harness) {
	h.start("taken")
	x := h.startHeld("a")
	o := pending(1, lambdabiz.KindChild)
	o.Target = "taken"
	s := startOf("taken", 2)
	s.Policy, s.Operation = lambdabiz.RejectExisting, 1
	s.Parent = &lambdabiz.Parent{ID: "a", RunID: "a#1", Operation: 1}
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{o}, Starts: []lambdabiz.RunStart{s}})
	x.began("a child with a taken id", lambdabiz.StatusFailed)
	if f := x.Operations[0].Error; f == nil || !hasCode(f, "exists") {
		h.Fatalf("error of the child: %+v", f)
	}
	want(h, h.load("taken").RunID, "taken#1", "run of the taken id")
	x.end()
}

func performDetached(h *harness) {
	x := h.startHeld("a")
	o := pending(1, lambdabiz.KindChild)
	o.Target = "c"
	s := startOf("c", 1)
	s.Operation, s.Parent = 1, &lambdabiz.Parent{ID: "a", RunID: "a#1", Operation: 1, Detached: true}
	h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{o}, Starts: []lambdabiz.RunStart{s}}).Err, "commit")
	x = h.hold(x.worker, "a")
	x.began("a detached child", lambdabiz.StatusSucceeded)
	h.hold(x.worker, "c").end()
	x.commit(lambdabiz.Commit{})
	h.inbox(x.Messages)
	x.end()
}

func performCancel(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	x.commit(lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlCancel, ID: "c", Operation: 1}}})
	h.inbox(c.arrived(), "cancel")
	want(h, h.load("c").CancelRequested, true, "CancelRequested")
	c.commit(lambdabiz.Commit{Seen: c.last(), Close: &lambdabiz.Close{Status: lambdabiz.StatusCancelled}})
	h.inbox(x.arrived(), "child 1 CANCELLED")
	x.end()
}
