package backendtest

import (
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var claimChecks = []check{
	{name: "claim/takes only the names asked for", where: selective, run: claimNames},
	{name: "claim/a long poll gives every due run once", where: polled, run: claimPolled},
	{name: "claim/keeps to its limit and says that more is due", where: selective, run: claimLimit},
	{name: "claim/a held run is nobody else's", run: claimExclusive},
	{name: "claim/bumps the fence", run: claimFence},
	{name: "claim/a run is due exactly at its WakeAt", run: claimWakeAt},
	{name: "claim/what has come is due for a clock that is behind", run: claimSkew},
	{name: "claim/gives the whole record", run: claimRecord},
	{name: "claim/hands out messages for held runs once", where: delivers, run: claimArrivals},
	{name: "claim/hands out the first message of a run after many of another", where: delivers, run: claimOwnNumbers},
	{name: "claim/hands out messages to their holder only", where: delivers, run: claimArrivalsOwner},
	{name: "claim/needs a registered worker", where: leases, run: claimUnregistered},
	{name: "claim/Follows the commit that ended the claim before", where: endsClaims, run: claimFollows},
}

func claimNames(h *harness) {
	h.start("a")
	h.start("b")
	worker := h.join()
	claims, err := h.b.Claim(background, lambdabiz.ClaimRequest{Worker: worker, Limit: 10, Now: at(1)})
	h.must(err, "Claim")
	want(h, len(claims.Runs), 0, "runs claimed without a name")
	claims = h.claimAt(worker, at(1), "b", "c")
	if len(claims.Runs) != 1 || claims.Runs[0].ID != "b" {
		h.Fatalf("claimed: %+v", claims.Runs)
	}
	h.due(at(1), "a", "only b was claimed")
}

func claimLimit(h *harness) {
	const runs = 5
	for n := range runs {
		s := startOf(string(rune('a'+n)), 1)
		s.Name = "many"
		h.startNew(s)
	}
	worker := h.join("many")
	claim := func(limit int) lambdabiz.Claims {
		c, err := h.b.Claim(background, lambdabiz.ClaimRequest{
			Worker: worker, Names: []string{"many"}, Limit: limit, Now: at(1),
		})
		h.must(err, "Claim")
		return c
	}
	none := claim(0)
	want(h, len(none.Runs), 0, "runs claimed with limit 0")
	want(h, none.More, true, "More of limit 0: a worker without room learns that others are due")
	seen := map[string]bool{}
	for _, step := range []struct {
		limit, runs int
		more        bool
	}{{2, 2, true}, {2, 2, true}, {2, 1, false}, {2, 0, false}} {
		c := claim(step.limit)
		want(h, len(c.Runs), step.runs, "runs claimed")
		want(h, c.More, step.more, "More")
		for _, r := range c.Runs {
			if seen[r.ID] {
				h.Fatalf("run %s was claimed twice", r.ID)
			}
			seen[r.ID] = true
		}
	}
}

func claimPolled(h *harness) {
	const runs = 5
	for n := range runs {
		h.start(string(rune('a' + n)))
	}
	worker := h.join("another")
	seen := map[string]bool{}
	for more := true; more; {
		c, err := h.b.Claim(background, lambdabiz.ClaimRequest{Worker: worker, Names: []string{"another"}, Limit: 10})
		h.must(err, "Claim")
		more = c.More
		for _, r := range c.Runs {
			if seen[r.ID] || r.Name != nameOf(r.ID) || r.Ref.Fence < 1 {
				h.Fatalf("claimed: %+v", r)
			}
			seen[r.ID] = true
		}
	}
	want(h, len(seen), runs, "runs claimed")
}

func claimExclusive(h *harness) {
	x := h.startHeld("a")
	h.raise("a", "e")
	h.notDue(at(1000), "a", "another worker holds it")
	want(h, len(h.claimAt(x.worker, at(1000), "a").Runs), 0, "runs claimed by the holder itself")
	if !h.describes.Supervised {
		want(h, h.load("a").Worker, x.worker, "Worker")
	}
	x.Messages = h.load("a").Messages
	x.release(lambdabiz.Release{})
	want(h, h.load("a").Worker, int64(0), "Worker of a released run")
}

func claimFence(h *harness) {
	x := h.startHeld("a")
	first := *x
	for range 3 {
		before := x.Ref.Fence
		x.release(lambdabiz.Release{WakeAt: at(1)})
		x = h.hold(x.worker, "a")
		if x.Ref.Fence <= before {
			h.Fatalf("fence %d after %d", x.Ref.Fence, before)
		}
	}
	first.fenced("an earlier holder")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
}

func claimWakeAt(h *harness) {
	x := h.startHeld("a")
	wake := at(100).Add(time.Microsecond)
	x.release(lambdabiz.Release{WakeAt: wake})
	want(h, normalTime(h.load("a").WakeAt), wake, "WakeAt")
	worker := h.join()
	claims := h.claimAt(worker, wake.Add(-time.Microsecond), "a")
	want(h, len(claims.Runs), 0, "runs claimed a microsecond before WakeAt")
	h.nextWake(claims, wake)
	claims = h.claimAt(worker, wake.Add(h.late), "a")
	want(h, len(claims.Runs), 1, "runs claimed at WakeAt")
	want(h, claims.NextWake.IsZero(), true, "NextWake is zero when nothing sleeps")
}

// nextWake expects that a claim says when the next sleeper is due.
func (h *harness) nextWake(claims lambdabiz.Claims, wanted time.Time) {
	h.Helper()
	if !h.describes.LongPoll {
		want(h, normalTime(claims.NextWake), wanted, "NextWake")
	}
}

// claimSkew claims by a clock that is behind the starter's and the sender's: only WakeAt is a matter of
// time.
func claimSkew(h *harness) {
	behind := at(-3600)
	h.start("a")
	x := h.holdAt(h.join(), behind, "a")
	x.release(lambdabiz.Release{})
	h.raise("a", "e")
	h.due(behind, "a", "a message has come, though by a clock that is ahead")
	h.control(lambdabiz.ControlCancel, "a")
	x = h.holdAt(x.worker, behind, "a")
	x.die()
	h.due(behind, "a", "its holder has died")
	if !h.refuses(lambdabiz.FeaturePause) {
		h.control(lambdabiz.ControlPause, "a")
		h.control(lambdabiz.ControlResume, "a")
		h.due(behind, "a", "it was resumed")
	}
}

func claimRecord(h *harness) {
	s := startOf("a", 1)
	s.Tags = map[string]string{"k": "v"}
	h.startNew(s)
	x := h.hold(h.join(), "a")
	x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{operation(3), operation(1)}, Progress: text("half"), Started: true,
	})
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}})
	x.release(lambdabiz.Release{})
	h.raise("a", "e1")
	h.raise("a", "e2")
	c := h.due(at(4), "a", "messages have arrived")
	want(h, len(c.Operations), 3, "operations")
	for i, o := range c.Operations {
		want(h, normalOperation(o), normalOperation(operation(int64(i+1))), "operation")
	}
	h.inbox(c.Messages, "e1", "e2")
	want(h, string(c.Input), string(s.Input), "Input")
	want(h, string(c.Progress), string(text("half")), "Progress")
	want(h, c.Tags, s.Tags, "Tags")
	want(h, c.Status, lambdabiz.StatusStarted, "Status")
	want(h, normalTime(c.StartedAt), at(3), "StartedAt")
}

func (h *harness) messagesFor(worker, after int64) lambdabiz.Claims {
	h.Helper()
	c, err := h.b.Claim(background, lambdabiz.ClaimRequest{Worker: worker, After: after, Now: at(5)})
	h.must(err, "Claim for messages")
	want(h, len(c.Runs), 0, "runs of a claim for messages")
	return c
}

func claimArrivals(h *harness) {
	h.start("a")
	h.start("b")
	worker := h.join()
	x := h.hold(worker, "a")
	h.hold(worker, "b")
	through := h.messagesFor(worker, 0).Through
	h.raise("a", "a1")
	h.raise("b", "b1")
	h.raise("a", "a2")
	claims := h.messagesFor(worker, through)
	byID := map[string]lambdabiz.Arrival{}
	for _, a := range claims.Arrived {
		if _, twice := byID[a.Ref.ID]; twice {
			h.Fatalf("two arrivals of run %s in one claim", a.Ref.ID)
		}
		byID[a.Ref.ID] = a
	}
	h.inbox(byID["a"].Messages, "a1", "a2")
	h.inbox(byID["b"].Messages, "b1")
	want(h, byID["a"].Ref.RunID, x.Ref.RunID, "Ref.RunID")
	want(h, byID["a"].Ref.Fence, x.Ref.Fence, "Ref.Fence")
	want(h, len(h.messagesFor(worker, claims.Through).Arrived), 0, "arrivals after Through")
	want(h, len(h.messagesFor(worker, through).Arrived), 2, "arrivals asked for again")
	h.raise("a", "a3")
	claims = h.messagesFor(worker, claims.Through)
	want(h, len(claims.Arrived), 1, "arrivals")
	h.inbox(claims.Arrived[0].Messages, "a3")
}

// claimOwnNumbers: messages may be numbered in their run. What a worker has had of one run says nothing of another.
func claimOwnNumbers(h *harness) {
	h.start("a")
	h.start("b")
	worker := h.join()
	h.hold(worker, "a")
	h.hold(worker, "b")
	for i := range 5 {
		h.raise("a", fmt.Sprint("a", i))
	}
	claims := h.messagesFor(worker, 0)
	h.raise("b", "b1")
	again := h.messagesFor(worker, claims.Through)
	want(h, len(again.Arrived), 1, "arrivals")
	want(h, again.Arrived[0].Ref.ID, "b", "run of the arrival")
	h.inbox(again.Arrived[0].Messages, "b1")
}

func claimArrivalsOwner(h *harness) {
	h.startHeld("a")
	x := h.startHeld("b")
	h.raise("a", "e")
	want(h, len(h.messagesFor(x.worker, 0).Arrived), 0, "arrivals for another worker's run")
	x.release(lambdabiz.Release{})
	h.raise("b", "e")
	want(h, len(h.messagesFor(x.worker, 0).Arrived), 0, "arrivals for a run that was released")
}

func claimUnregistered(h *harness) {
	h.start("a")
	worker := h.join()
	h.leave(worker)
	for _, n := range []int64{worker, worker + 1000} {
		_, err := h.b.Claim(background, lambdabiz.ClaimRequest{
			Worker: n, Names: []string{nameOf("a")}, Limit: 1, Now: at(1),
		})
		h.is(err, lambdabiz.ErrFenced, "Claim by a worker that is not registered")
	}
	h.due(at(1), "a", "nobody could claim it")
}

func claimFollows(h *harness) {
	x := h.startHeld("a")
	fence := x.Ref.Fence
	v := x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, WakeAt: at(50)})
	h.must(v.Err, "commit")
	x.fenced("a second commit under one claim, where commits end claims")
	h.notDue(at(49), "a", "its WakeAt has not come")
	x = h.holdAt(x.worker, at(50), "a")
	want(h, x.Follows, fence, "Follows")
	want(h, len(x.Operations), 1, "operations")

	h.raise("a", "e")
	h.must(x.try(lambdabiz.Commit{Seen: x.last()}).Err, "commit")
	x = h.hold(x.worker, "a")
	h.inbox(x.Messages, "e")
	h.must(x.try(lambdabiz.Commit{Seen: x.last()}).Err, "commit")
	h.notDue(at(1000), "a", "it has seen its message, and nothing asks for it")
	h.raise("a", "e2")
	x = h.hold(x.worker, "a")
	h.must(x.try(lambdabiz.Commit{Seen: x.last(), Again: true}).Err, "commit")
	h.hold(x.worker, "a")
}
