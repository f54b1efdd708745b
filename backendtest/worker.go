package backendtest

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var workerChecks = []check{
	{name: "worker/numbers are never used again", run: workerNumbers},
	{name: "worker/the registered ones are listed", run: workerList},
	{name: "worker/Renew moves the beat", where: leases, run: workerBeat},
	{name: "worker/Leave fences Renew and Claim", where: leases, run: workerFenced},
	{name: "worker/Leave with an old beat does nothing", where: leases, run: workerStaleLeave},
	{name: "worker/Leave frees what it held", where: leases, run: workerFrees},
	{name: "worker/a removed one can record nothing", where: leases, run: workerRemoved},
	{name: "worker/Leave leaves the others alone", where: leases, run: workerOthers},
}

func (h *harness) workers() []lambdabiz.WorkerRecord {
	h.Helper()
	w, err := h.b.Workers(background)
	h.must(err, "Workers")
	return w
}

func workerNumbers(h *harness) {
	seen := map[int64]bool{}
	last := int64(0)
	for range 4 {
		n := h.join()
		if n <= last || seen[n] {
			h.Fatalf("worker number %d after %d", n, last)
		}
		seen[n], last = true, n
		h.leave(n)
	}
}

func workerList(h *harness) {
	want(h, len(h.workers()), 0, "workers at first")
	info := lambdabiz.WorkerInfo{
		Names: []string{"b", "a"}, Version: "v7", Host: "höst", PID: 42, Codec: "mine.Codec", Lease: 1500 * time.Millisecond,
	}
	first, err := h.b.Join(background, info)
	h.must(err, "Join")
	second := h.join()
	w := h.workers()
	want(h, len(w), 2, "workers")
	want(h, []int64{w[0].Number, w[1].Number}, []int64{first, second}, "numbers, in order")
	want(h, w[0].WorkerInfo, info, "WorkerInfo")
	if w[0].JoinedAt.IsZero() || w[0].Gone {
		h.Fatalf("worker: %+v", w[0])
	}
	h.leave(first)
	w = h.workers()
	want(h, len(w), 1, "workers after one has left")
	want(h, w[0].Number, second, "number of the other")
}

func workerBeat(h *harness) {
	n := h.join()
	m := h.join()
	beats := func() (int64, int64) { w := h.workers(); return w[0].Beat, w[1].Beat }
	before, other := beats()
	h.must(h.b.Renew(background, n), "Renew")
	after, same := beats()
	if after == before || same != other {
		h.Fatalf("beats %d, %d after a Renew of the first; before %d, %d", after, same, before, other)
	}
	h.must(h.b.Renew(background, m), "Renew")
}

func workerFenced(h *harness) {
	n := h.join()
	h.leave(n)
	h.is(h.b.Renew(background, n), lambdabiz.ErrFenced, "Renew by a removed worker")
	_, err := h.b.Claim(background, lambdabiz.ClaimRequest{Worker: n, Limit: 1, Names: []string{"x"}, Now: at(1)})
	h.is(err, lambdabiz.ErrFenced, "Claim by a removed worker")
	h.must(h.b.Leave(background, n, -1), "Leave of a worker that is gone")
	h.must(h.b.Leave(background, n, 3), "conditional Leave of a worker that is gone")
	h.must(h.b.Leave(background, n+1000, -1), "Leave of a worker that never was")
}

func workerStaleLeave(h *harness) {
	x := h.startHeld("a")
	beat := h.workers()[0].Beat
	h.must(h.b.Renew(background, x.worker), "Renew")
	h.is(h.b.Leave(background, x.worker, beat), lambdabiz.ErrStale, "Leave with an old beat")
	want(h, len(h.workers()), 1, "workers")
	h.must(h.b.Renew(background, x.worker), "Renew")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	h.must(h.b.Leave(background, x.worker, h.workers()[0].Beat), "Leave with the beat")
	h.due(at(4), "a", "its holder was removed")
}

func workerFrees(h *harness) {
	h.start("a")
	h.start("b")
	n := h.join()
	x, y := h.hold(n, "a"), h.hold(n, "b")
	y.release(lambdabiz.Release{WakeAt: at(50)})
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	h.leave(n)
	want(h, h.load("a").Worker, int64(0), "Worker of a freed run")
	c := h.hold(h.join(), "a")
	if c.Ref.Fence <= x.Ref.Fence {
		h.Fatalf("fence %d after %d", c.Ref.Fence, x.Ref.Fence)
	}
	want(h, len(c.Operations), 1, "operations")
	h.notDue(at(49), "b", "it had been released until later")
	h.due(at(50), "b", "its WakeAt has come")
}

func workerRemoved(h *harness) {
	x := h.startHeld("a")
	h.leave(x.worker)
	x.fenced("a removed worker, before anybody else has claimed its run")
	h.is(x.try(lambdabiz.Commit{Release: &lambdabiz.Release{}}).Err, lambdabiz.ErrFenced, "its release")
	h.is(x.try(lambdabiz.Commit{Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}).Err,
		lambdabiz.ErrFenced, "its close")
	y := h.hold(h.join(), "a")
	x.fenced("a removed worker, after somebody else has claimed its run")
	y.end()
}

func workerOthers(h *harness) {
	x, y := h.startHeld("a"), h.startHeld("b")
	h.leave(x.worker)
	y.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	h.notDue(at(100), "b", "its holder is alive")
}

var crashChecks = []check{
	{name: "crash/holders that die are counted", run: crashCounts},
	{name: "crash/a new record begins the count anew", run: crashRecord},
	{name: "crash/a recorded attempt begins the count anew", run: crashAttempt},
	{name: "crash/a release begins the count anew", run: crashRelease},
	{name: "crash/a run that is not held does not crash", run: crashParked},
	{name: "crash/a worker that leaves by itself has not died", run: crashLeave, where: leases},
}

// crashes lets holders of the run die, and expects the counts at their claims.
func (h *harness) crashes(id string, counts ...int) {
	h.Helper()
	for _, n := range counts {
		x := h.hold(h.join(), id)
		want(h, x.Crashes, n, "Crashes")
		x.die()
	}
}

func crashCounts(h *harness) {
	h.start("a")
	h.crashes("a", 0, 1, 2, 3, 4, 5)
}

func crashRecord(h *harness) {
	h.start("a")
	h.crashes("a", 0, 1)
	x := h.hold(h.join(), "a")
	want(h, x.Crashes, 2, "Crashes")
	if h.endsClaim {
		h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, Again: true}).Err, "commit")
		x = h.hold(x.worker, "a")
	} else {
		x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	}
	x.die()
	h.crashes("a", 1, 2)
}

func crashAttempt(h *harness) {
	h.start("a")
	attempt := pending(1, lambdabiz.KindStep)
	for i := range 2 {
		x := h.hold(h.join(), "a")
		attempt.Attempts = i + 1
		x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{attempt}})
		x.die()
		h.crashes("a", 1, 2)
	}
}

func crashLeave(h *harness) {
	h.start("a")
	h.crashes("a", 0, 1)
	for range 3 {
		x := h.hold(h.join(), "a")
		want(h, x.Crashes, 2, "Crashes")
		h.leave(x.worker)
	}
	h.crashes("a", 2, 3)
}

func crashRelease(h *harness) {
	h.start("a")
	h.crashes("a", 0, 1)
	x := h.hold(h.join(), "a")
	x.release(lambdabiz.Release{WakeAt: at(1)})
	h.leave(x.worker)
	h.crashes("a", 0, 1)
}

func crashParked(h *harness) {
	x := h.startHeld("a")
	x.release(lambdabiz.Release{WakeAt: at(1)})
	h.leave(x.worker)
	h.crashes("a", 0)
}
