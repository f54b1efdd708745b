package backendtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	{name: "worker/a Leave that is cut is finished by the next", where: leases, run: workerCut},
	{name: "worker/Watch tells who comes next", where: leases, run: workerWatch},
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

// cutContext ends after it was asked so often.
type cutContext struct {
	context.Context //nolint:containedctx // it is one
	left            atomic.Int64
	once            sync.Once
	done            chan struct{}
}

func newCutContext(asked int) *cutContext {
	c := &cutContext{Context: background, done: make(chan struct{})}
	c.left.Store(int64(asked))
	return c
}

func (c *cutContext) isOver() bool {
	over := c.left.Add(-1) < 0
	if over {
		c.once.Do(func() { close(c.done) })
	}
	return over
}

// Done counts.
func (c *cutContext) Done() <-chan struct{} {
	c.isOver()
	return c.done
}

// Err counts too.
func (c *cutContext) Err() error {
	if c.isOver() {
		return context.Canceled
	}
	return nil
}

// workerCut cuts Leave at one moment after the other. Whatever has been done by then, the worker can write nothing once it is
// removed, and what it still owns is freed by the next who leaves or joins.
func workerCut(h *harness) {
	finishes := []struct {
		how string
		do  func(worker int64)
	}{
		{"the same Leave", func(worker int64) { h.leave(worker) }},
		{"a Join", func(int64) { h.join() }},
		{"the Leave of another one", func(int64) { h.leave(h.join()) }},
	}
	for round, asked := 0, 0; ; round, asked = round+1, asked+1+asked/2 {
		worker, ids := h.join(), []string{}
		var held []*holding
		for i := range 3 {
			id := fmt.Sprintf("cut-%d-%d", round, i)
			h.start(id)
			ids, held = append(ids, id), append(held, h.hold(worker, id))
		}
		err := h.b.Leave(newCutContext(asked), worker, -1)
		registered := slices.ContainsFunc(h.workers(), func(w lambdabiz.WorkerRecord) bool { return w.Number == worker })
		if err == nil && registered {
			h.Fatalf("Leave returned nil, and the worker is registered")
		}
		finish := finishes[round%len(finishes)]
		if registered {
			finish = finishes[0]
		} else {
			for _, x := range held {
				x.fenced("its worker was removed by a Leave that was cut")
			}
		}
		if err != nil {
			finish.do(worker)
		}
		heir := h.join()
		for i, id := range ids {
			x := h.tryHold(heir, at(4), id)
			if x == nil {
				h.Fatalf("Leave was cut when it had asked %d times, with %v: %s is not due after %s", asked, err, id, finish.how)
			}
			if x.Ref.Fence <= held[i].Ref.Fence {
				h.Fatalf("fence %d after %d", x.Ref.Fence, held[i].Ref.Fence)
			}
			x.end()
		}
		h.leave(heir)
		h.leave(worker)
		for _, w := range h.workers() {
			h.leave(w.Number)
		}
		if err == nil {
			return
		}
	}
}

func workerWatch(h *harness) {
	watcher, ok := h.b.(lambdabiz.Watcher)
	if !ok {
		return
	}
	var numbers []int64
	for range 5 {
		numbers = append(numbers, h.join("n"))
	}
	next := func(of, next int) (found []int64) {
		before := h.workers()[of].Beat
		seen, err := watcher.Watch(background, numbers[of], next)
		h.must(err, "Watch")
		all := h.workers()
		if all[of].Beat == before {
			h.Fatalf("Watch has not moved the beat")
		}
		for _, r := range seen.Next {
			at := slices.Index(numbers, r.Number)
			if at < 0 {
				h.Fatalf("Watch: worker %d is not registered", r.Number)
			}
			want(h, r, all[at], "record of a worker that comes next")
			found = append(found, int64(at))
		}
		return found
	}
	want(h, next(1, 2), []int64{2, 3}, "the two that follow on the second of five")
	want(h, next(3, 2), []int64{4, 0}, "the two that follow on the fourth of five")
	want(h, next(4, 2), []int64{0, 1}, "the two that follow on the last of five")
	want(h, next(0, 2), []int64{1, 2}, "the two that follow on the first of five")
	want(h, next(2, 100), []int64{3, 4, 0, 1}, "all that follow on the third of five")
	h.leave(numbers[1])
	h.leave(numbers[3])
	numbers = []int64{numbers[0], numbers[2], numbers[4]}
	want(h, next(2, 2), []int64{0, 1}, "the two that follow on the last of three")
	want(h, next(1, 3), []int64{2, 0}, "all that follow on the second of three")
	h.leave(numbers[0])
	h.leave(numbers[2])
	numbers = numbers[1:2]
	want(h, len(next(0, 2)), 0, "workers that follow on the only one")
	h.leave(numbers[0])
	_, err := watcher.Watch(background, numbers[0], 2)
	h.is(err, lambdabiz.ErrFenced, "Watch by a removed worker")
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
