package backendtest

import (
	"encoding/json"

	"github.com/lambdabiz/lambdabiz"
)

var reopenChecks = []check{
	{name: "reopen/everything is there", reopens: true, run: reopenAll},
	{name: "reopen/a claim is held across processes", reopens: true, run: reopenHeld},
}

// other is a second process on the same storage.
func (h *harness) other() *harness {
	o := *h
	o.b = h.reopen()
	return &o
}

func reopenAll(h *harness) {
	s := startOf("a", 1)
	s.Tags = map[string]string{"k": "v"}
	h.startNew(s)
	x := h.hold(h.join(nameOf("a")), "a")
	x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{operation(1), operation(2)}, Progress: text("p"), Started: true,
	})
	x.release(lambdabiz.Release{WakeAt: at(50)})
	h.must(h.raiseKey("a", "k"), "raise")
	before, _ := json.Marshal(h.load("a"))
	o := h.other()
	after, _ := json.Marshal(o.load("a"))
	want(h, string(after), string(before), "record in another process")
	if !h.describes.Supervised {
		want(h, len(o.workers()), 1, "workers in another process")
	}
	h.must(o.raiseKey("a", "k"), "raise with a known key in another process")
	c := o.due(at(4), "a", "a message has arrived")
	o.inbox(c.Messages, "e-k")
	if c.Ref.Fence <= x.Ref.Fence {
		h.Fatalf("fence %d in another process after %d", c.Ref.Fence, x.Ref.Fence)
	}
	x.fenced("an earlier holder")
	o.raise("a", "e2")
	h.inbox(h.load("a").Messages, "e-k", "e2")
}

func reopenHeld(h *harness) {
	x := h.startHeld("a")
	o := h.other()
	o.notDue(at(1000), "a", "a worker of another process holds it")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	want(h, len(o.load("a").Operations), 1, "operations in another process")
	o.dies(x)
	if !h.describes.Supervised {
		x.fenced("a worker that another process has removed")
	}
	y := o.hold(o.join(), "a")
	x.fenced("a worker whose run another process has")
	y.end()
	want(h, h.load("a").Status, lambdabiz.StatusSucceeded, "status")
}
