package backendtest

import "github.com/lambdabiz/lambdabiz"

var performChecks = []check{
	{name: "perform/a timer comes back ended, and never early", where: performing(lambdabiz.KindTimer), run: performTimer},
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
