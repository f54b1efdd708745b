package backendtest

import "github.com/lambdabiz/lambdabiz"

var childChecks = []check{
	{name: "child/starts with its parent's commit", run: childStart},
	{name: "child/its end reaches the parent once", run: childEnd},
	{name: "child/termination reaches the parent", run: childTerminated},
	{name: "child/wakes a parked parent", run: childWakes},
	{name: "child/a detached one reports to nobody", run: childDetached},
	{name: "child/reports to the run that started it only", run: childParentGone},
	{name: "child/goes on when its parent ends", run: childSurvives},
	{name: "child/and parent may end in one batch", run: childBatch},
}

// startChild starts a child from the parent's operation 1 and returns it held.
func (x *holding) startChild(id string, detached bool) *holding {
	x.h.Helper()
	s := startOf(id, 1)
	s.Operation = 1
	s.Parent = &lambdabiz.Parent{ID: x.ID, RunID: x.RunID, Operation: 1, Detached: detached}
	v := x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{pending(1, lambdabiz.KindChild)}, Starts: []lambdabiz.RunStart{s},
	})
	x.h.must(v.Starts[0].Err, "start of a child")
	return x.h.hold(x.h.join(), id)
}

func childStart(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	want(h, c.Parent, &lambdabiz.Parent{ID: "a", RunID: "a#1", Operation: 1}, "Parent")
	want(h, len(h.load("a").Operations), 1, "operations of the parent")
}

func childEnd(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	ref := c.Ref
	c.commit(lambdabiz.Commit{At: at(40), Close: &lambdabiz.Close{
		Status: lambdabiz.StatusFailed, Result: text("r"), Error: &lambdabiz.Failure{Message: "broken"},
	}})
	c.Ref = ref
	h.is(c.try(lambdabiz.Commit{Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}).Err,
		lambdabiz.ErrFenced, "second end of a child")
	h.is(h.tryControl(lambdabiz.Control{Kind: lambdabiz.ControlTerminate, ID: "c"}), lambdabiz.ErrClosed,
		"termination of an ended child")
	messages := x.arrived()
	h.inbox(messages, "child 1 FAILED")
	m := messages[0]
	want(h, string(m.Payload), string(text("r")), "payload")
	h.stamped(m.ArrivedAt, at(40), "ArrivedAt")
	if m.Error == nil || m.Error.Message != "broken" {
		h.Fatalf("Error: %+v", m.Error)
	}
	if h.describes.LongPoll {
		return // they come with its next claim
	}
	claims := h.messagesFor(x.worker, 0)
	want(h, len(claims.Arrived), 1, "arrivals of the parent")
	h.inbox(claims.Arrived[0].Messages, "child 1 FAILED")
}

func childTerminated(h *harness) {
	x := h.startHeld("a")
	x.startChild("c", false)
	h.control(lambdabiz.ControlTerminate, "c")
	h.inbox(x.arrived(), "child 1 TERMINATED")
}

func childWakes(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	x.release(lambdabiz.Release{})
	h.notDue(at(1000), "a", "it waits for its child")
	c.end()
	h.inbox(h.due(at(4), "a", "its child has ended").Messages, "child 1 SUCCEEDED")
}

func childDetached(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", true)
	x.release(lambdabiz.Release{})
	c.end()
	h.inbox(h.load("a").Messages)
	h.notDue(at(1000), "a", "its child is detached")
}

func childParentGone(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	x.end()
	if !h.refuses(lambdabiz.FeatureStartPolicy) {
		s := startOf("a", 2)
		s.Policy = lambdabiz.RestartEnded
		h.startNew(s)
	}
	c.end()
	want(h, h.load("c").Status, lambdabiz.StatusSucceeded, "status of the child")
	if r := h.load("a"); r.RunID == "a#2" {
		h.inbox(r.Messages)
	}
}

func childSurvives(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	h.control(lambdabiz.ControlTerminate, "a")
	c.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	h.inbox(h.load("c").Messages)
	c.end()
}

func childBatch(h *harness) {
	x := h.startHeld("a")
	c := x.startChild("c", false)
	d := h.startHeld("d")
	if h.batchSize(3) < 3 {
		return
	}
	done := lambdabiz.Commit{Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}
	v := h.commitAll(c.fill(done), x.fill(lambdabiz.Commit{Close: done.Close, Conditional: true}), d.fill(done))
	h.is(v[0].Err, nil, "end of the child")
	h.is(v[1].Err, lambdabiz.ErrStale, "conditional end of the parent after it in the batch")
	h.inbox(v[1].Messages, "child 1 SUCCEEDED")
	h.is(v[2].Err, nil, "end of another run")
}
