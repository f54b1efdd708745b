package backendtest

import "github.com/lambdabiz/lambdabiz"

// What goes from one run to another names a run, and never an id that somebody else may come to own.
var identityChecks = []check{
	{name: "identity/a parent's control does not reach a stranger", run: strangerLeftAlone},
	{name: "identity/a parent's control reaches its child", run: childReached},
	{name: "identity/a parent's control reaches the run that continues its child", needs: continues, run: continuedReached},
	{
		name:  "identity/a parent's control does not reach the next owner of an id",
		needs: []lambdabiz.Feature{lambdabiz.FeatureStartPolicy}, run: heirLeftAlone,
	},
	{name: "identity/a detached child is left alone", run: detachedLeftAlone},
}

// cancelChild is what a run says that cancels its operation 1, which has started a child.
func (x *holding) cancelChild(id string) lambdabiz.Commit {
	o := pending(1, lambdabiz.KindChild)
	o.Status, o.EndedAt, o.Target = lambdabiz.StatusCancelled, at(3), id
	return lambdabiz.Commit{Operations: []lambdabiz.Operation{o}, Controls: []lambdabiz.Control{x.childControl(id)}}
}

func (x *holding) childControl(id string) lambdabiz.Control {
	return lambdabiz.Control{
		Kind: lambdabiz.ControlCancel, ID: id, Reason: "because",
		Parent: &lambdabiz.Parent{ID: x.ID, RunID: x.RunID, Operation: 1},
	}
}

// cancelled expects that an id's latest run was asked to end, or not.
func (h *harness) cancelled(id string, wanted bool, whose string) {
	h.Helper()
	want(h, h.load(id).CancelRequested, wanted, "CancelRequested of "+whose)
}

func strangerLeftAlone(h *harness) {
	h.start("s")
	x := h.startHeld("a")
	s := startOf("s", 2)
	s.Operation, s.Policy = 1, lambdabiz.RejectOpen
	s.Parent = &lambdabiz.Parent{ID: "a", RunID: "a#1", Operation: 1}
	c := x.cancelChild("s")
	c.Starts = []lambdabiz.RunStart{s}
	x.commit(c)
	x.commit(x.cancelChild("s"))
	h.cancelled("s", false, "a run that the parent has not started")
	h.is(h.tryControl(x.childControl("s")), lambdabiz.ErrNotFound, "control of a child that is none")
	h.cancelled("s", false, "a run without a parent")
}

func childReached(h *harness) {
	x := h.startHeld("a")
	x.startChild("c", false).release(lambdabiz.Release{})
	other := x.childControl("c")
	other.Parent.Operation = 2
	h.is(h.tryControl(other), lambdabiz.ErrNotFound, "control of another operation's child")
	other = x.childControl("c")
	other.Parent.RunID = "a#0"
	h.is(h.tryControl(other), lambdabiz.ErrNotFound, "control of another run's child")
	h.cancelled("c", false, "another's child")
	x.commit(x.cancelChild("c"))
	h.cancelled("c", true, "the child")
}

func continuedReached(h *harness) {
	x := h.startHeld("a")
	x.startChild("c", false).continueAsNew(2)
	x.commit(x.cancelChild("c"))
	want(h, h.load("c").RunID, "c#2", "latest run of the child")
	h.cancelled("c", true, "the run that continues the child")
}

func heirLeftAlone(h *harness) {
	x := h.startHeld("a")
	x.startChild("c", false).end()
	s := startOf("c", 2)
	s.Policy = lambdabiz.RestartEnded
	h.startNew(s)
	x.commit(x.cancelChild("c"))
	want(h, h.load("c").RunID, "c#2", "latest run of the id")
	h.cancelled("c", false, "the next owner of the child's id")
	h.is(h.tryControl(x.childControl("c")), lambdabiz.ErrNotFound, "control of a child whose id is somebody else's")
}

func detachedLeftAlone(h *harness) {
	x := h.startHeld("a")
	x.startChild("c", true).release(lambdabiz.Release{})
	x.commit(x.cancelChild("c"))
	h.cancelled("c", false, "a detached child")
}
