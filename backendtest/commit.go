package backendtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var commitChecks = []check{
	{name: "commit/keeps every field of an operation", run: commitFields},
	{name: "commit/keeps times to the microsecond", run: commitTimes},
	{name: "commit/keeps payloads byte by byte", run: commitPayloads},
	{name: "commit/replaces operations by number", run: commitReplaces},
	{name: "commit/keeps no reference to what it was given", run: commitAliases},
	{name: "commit/sets StartedAt once", run: commitStarted},
	{name: "commit/replaces the progress when it is given", run: commitProgress},
	{name: "commit/removes consumed messages", run: commitConsumed},
	{name: "commit/fetches newer messages", where: delivers, run: commitFetch},
	{name: "commit/a condition that does not hold applies nothing", where: conditional, run: commitStale},
	{name: "commit/a close that has not seen a message applies nothing", where: closeOnly, run: commitStaleClose},
	{name: "commit/a claim may be kept", where: endsClaims, run: commitKeep},
	{name: "commit/a time-out loses against an event that came in time", where: closeOnly, run: commitTimeout},
	{name: "commit/a fenced one applies nothing", run: commitFenced},
	{name: "commit/an ended run takes none", run: commitEnded},
	{name: "commit/stores the outcome", run: commitOutcome},
	{name: "commit/with an ended context applies all or nothing", run: commitContext},
}

func commitFields(h *harness) {
	x := h.startHeld("a")
	full := lambdabiz.Operation{
		Number: 1, ID: "scope/a~1b/日本", Kind: lambdabiz.KindTask, Name: "Sum", Status: lambdabiz.StatusFailed,
		Attempts: 4, Input: text("in"), Result: text("out"),
		Error: &lambdabiz.Failure{
			Message: "it \"broke\"\n", Code: "task", Type: "T", Data: json.RawMessage(`{"n":1}`),
			Causes: []*lambdabiz.Failure{{Message: "deep", Causes: []*lambdabiz.Failure{{Message: "deeper"}}}},
		},
		ScheduledAt: at(1), StartedAt: at(2), EndedAt: at(3), DueAt: at(4), ExpiresAt: at(5),
		Target: "another", Details: text("heartbeat"),
	}
	after, last := operation(2), operation(3)
	after.AfterStop, last.LastBeforeStop = true, true
	all := []lambdabiz.Operation{full, after, last}
	for kind := lambdabiz.KindTask; kind <= lambdabiz.KindRace; kind++ {
		o := operation(int64(len(all) + 1))
		o.Kind = kind
		all = append(all, o)
	}
	for status := lambdabiz.StatusScheduled; status <= lambdabiz.StatusTerminated; status++ {
		o := operation(int64(len(all) + 1))
		o.Status = status
		all = append(all, o)
	}
	x.commit(lambdabiz.Commit{Operations: all})
	want(h, normalOperations(h.load("a").Operations), normalOperations(all), "operations loaded")
	all[0].LastBeforeStop = true // its code was told when it had ended
	x.commit(lambdabiz.Commit{Operations: all[:1]})
	want(h, normalOperations(h.load("a").Operations), normalOperations(all), "operations with a mark that came later")
	x.release(lambdabiz.Release{WakeAt: at(1)})
	want(h, normalOperations(h.due(at(4), "a", "").Operations), normalOperations(all), "operations claimed")
}

func commitTimes(h *harness) {
	x := h.startHeld("a")
	zone := time.FixedZone("", 5*3600+1800)
	times := []time.Time{
		{},
		time.Date(1969, time.July, 20, 20, 17, 40, 123456000, time.UTC),
		time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2038, time.January, 19, 3, 14, 8, 1000, time.UTC),
		time.Date(9999, time.December, 31, 23, 59, 59, 999999000, time.UTC),
		epoch.In(zone),
	}
	operations := make([]lambdabiz.Operation, len(times))
	for i, moment := range times {
		o := operation(int64(i + 1))
		o.ScheduledAt, o.StartedAt, o.EndedAt, o.DueAt, o.ExpiresAt = moment, moment, moment, moment, moment
		operations[i] = o
	}
	x.commit(lambdabiz.Commit{Operations: operations})
	for i, o := range h.load("a").Operations {
		for _, got := range []time.Time{o.ScheduledAt, o.StartedAt, o.EndedAt, o.DueAt, o.ExpiresAt} {
			if !got.Equal(times[i]) || got.IsZero() != times[i].IsZero() || got.Location() != time.UTC {
				h.Fatalf("time %v came back as %v", times[i], got)
			}
		}
	}
	if h.describes.RunTimeout > 0 {
		return // it does not live to see the year 9999
	}
	last := times[4]
	x.release(lambdabiz.Release{WakeAt: last})
	claims := h.claimAt(x.worker, at(1000), "a")
	want(h, normalTime(claims.NextWake), last, "NextWake")
	h.due(last, "a", "the year 9999 is over")
}

func commitPayloads(h *harness) {
	x := h.startHeld("a")
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(i * 7 >> 3)
	}
	if limit := h.b.Describe().MaxPayloadBytes; limit > 0 && limit < len(large) {
		large = large[:limit]
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	payloads := []lambdabiz.Payload{nil, {}, []byte("null"), []byte("\x00"), every, []byte("\xff\xfe"), large}
	operations := make([]lambdabiz.Operation, len(payloads))
	for i, p := range payloads {
		operations[i] = operation(int64(i + 1))
		operations[i].Input, operations[i].Result, operations[i].Details = p, p, p
	}
	x.commit(lambdabiz.Commit{Operations: operations, Progress: every})
	r := h.load("a")
	for i, o := range r.Operations {
		for _, got := range []lambdabiz.Payload{o.Input, o.Result, o.Details} {
			if !bytes.Equal(got, payloads[i]) {
				h.Fatalf("payload %d of %d bytes came back with %d other ones", i, len(payloads[i]), len(got))
			}
		}
	}
	if !bytes.Equal(r.Progress, every) {
		h.Fatalf("Progress came back as %q", r.Progress)
	}
}

func commitReplaces(h *harness) {
	x := h.startHeld("a")
	begun := pending(2, lambdabiz.KindTask)
	begun.Input = text("kept with its operation")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(3), begun}})
	ended := begun
	ended.Status, ended.Result, ended.EndedAt, ended.Attempts = lambdabiz.StatusSucceeded, text("r"), at(9), 3
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{ended, operation(1)}})
	wanted := []lambdabiz.Operation{operation(1), ended, operation(3)}
	want(h, normalOperations(h.load("a").Operations), normalOperations(wanted), "operations")
	x.release(lambdabiz.Release{WakeAt: at(1)})
	want(h, normalOperations(h.due(at(4), "a", "").Operations), normalOperations(wanted), "operations claimed")
}

func commitAliases(h *harness) {
	tags := map[string]string{"k": "v"}
	s := startOf("a", 1)
	s.Tags = tags
	h.startNew(s)
	x := h.hold(h.join(), "a")
	o := operation(1)
	o.Error = &lambdabiz.Failure{Message: "m", Causes: []*lambdabiz.Failure{{Message: "c"}}}
	operations := []lambdabiz.Operation{o}
	x.commit(lambdabiz.Commit{Operations: operations})
	before, _ := json.Marshal(h.load("a"))

	operations[0].Result[1], operations[0].ID = 'X', "changed"
	o.Error.Message, o.Error.Causes[0].Message = "changed", "changed"
	s.Input[1], tags["k"] = 'X', "changed"
	loaded := h.load("a")
	loaded.Operations[0].Result[1], loaded.Operations[0].Error.Message = 'Y', "changed too"
	loaded.Input[1], loaded.Tags["k"] = 'Y', "changed too"
	after, _ := json.Marshal(h.load("a"))
	want(h, string(after), string(before), "record after its copies were changed")
}

func commitStarted(h *harness) {
	h.start("a")
	x := h.holdAt(h.join(), at(20), "a")
	x.commit(lambdabiz.Commit{At: at(10), Started: true})
	x.commit(lambdabiz.Commit{At: at(20), Started: true})
	r := h.load("a")
	want(h, r.Status, lambdabiz.StatusStarted, "Status")
	want(h, normalTime(r.StartedAt), at(10), "StartedAt")
}

func commitProgress(h *harness) {
	x := h.startHeld("a")
	x.commit(lambdabiz.Commit{Progress: text("1")})
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	want(h, string(h.load("a").Progress), string(text("1")), "Progress, not given")
	x.commit(lambdabiz.Commit{Progress: text("2")})
	want(h, string(h.load("a").Progress), string(text("2")), "Progress, replaced")
}

func commitConsumed(h *harness) {
	h.start("a")
	for _, name := range []string{"e1", "e2", "e3", "e4"} {
		h.raise("a", name)
	}
	x := h.hold(h.join(), "a")
	m := x.Messages
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{m[2].Number, m[0].Number}})
	h.inbox(h.load("a").Messages, "e2", "e4")
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{m[0].Number, m[1].Number}})
	h.inbox(h.load("a").Messages, "e4")
	x.Messages = m
	x.release(lambdabiz.Release{})
	h.notDue(at(1000), "a", "it has seen the message that is left")
	h.raise("a", "e5")
	h.inbox(h.due(at(4), "a", "a message has arrived").Messages, "e4", "e5")
}

func commitFetch(h *harness) {
	h.start("a")
	h.raise("a", "e1")
	x := h.hold(h.join(), "a")
	seen := x.last()
	h.raise("a", "e2")
	h.raise("a", "e3")
	v := x.commit(lambdabiz.Commit{Fetch: true, Seen: seen, Operations: []lambdabiz.Operation{operation(1)}})
	h.inbox(v.Messages, "e2", "e3")
	want(h, string(v.Messages[1].Payload), string(text("e3")), "payload of a fetched message")
	want(h, len(h.load("a").Operations), 1, "operations: a fetch applies the commit")
	last := v.Messages[1].Number
	v = x.commit(lambdabiz.Commit{Fetch: true, Seen: last, Consumed: []int64{v.Messages[0].Number}})
	h.inbox(v.Messages)
	h.inbox(h.load("a").Messages, "e1", "e3")
}

func commitStale(h *harness) {
	x := h.startHeld("a")
	h.raise("a", "e1")
	h.start("b")
	v := x.try(lambdabiz.Commit{
		Conditional: true, Seen: x.last(), Operations: []lambdabiz.Operation{operation(1)}, Progress: text("p"),
		Starts: []lambdabiz.RunStart{startOf("c", 1)}, Raises: []lambdabiz.Raise{{ID: "b", Name: "e"}},
		Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlCancel, ID: "b"}},
		Release:  &lambdabiz.Release{WakeAt: at(100)},
	})
	h.is(v.Err, lambdabiz.ErrStale, "conditional commit")
	h.inbox(v.Messages, "e1")
	r := h.load("a")
	if len(r.Operations) > 0 || len(r.Progress) > 0 {
		h.Fatalf("a stale commit has written: %+v", r)
	}
	_, err := h.b.Load(background, "c", "")
	h.is(err, lambdabiz.ErrNotFound, "Load of what a stale commit started")
	h.inbox(h.load("b").Messages)
	// A stale commit does not end the claim, and with the new message in sight it is applied.
	v = x.try(lambdabiz.Commit{
		Conditional: true, Seen: v.Messages[0].Number, Operations: []lambdabiz.Operation{operation(1)},
		Release: &lambdabiz.Release{WakeAt: at(100)},
	})
	h.must(v.Err, "conditional commit that has seen all")
	want(h, len(h.load("a").Operations), 1, "operations")
	h.notDue(at(99), "a", "it has seen its message")
}

func commitStaleClose(h *harness) {
	x := h.startHeld("a")
	names := []string{}
	for _, conditional := range []bool{true, false} {
		names = append(names, fmt.Sprintf("e%d", len(names)))
		h.raise("a", names[len(names)-1])
		v := x.try(lambdabiz.Commit{
			Conditional: conditional, Seen: x.last(), Operations: []lambdabiz.Operation{operation(1)}, Progress: text("p"),
			Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: text("r")},
		})
		h.is(v.Err, lambdabiz.ErrStale, "close")
		r := h.load("a")
		if len(r.Operations) > 0 || len(r.Progress) > 0 || r.Status.Ended() {
			h.Fatalf("a stale close has written: %+v", r)
		}
		if !v.Held {
			x = h.hold(x.worker, "a")
			if !h.describes.Lags { // else the load has claimed it
				want(h, x.Follows, int64(0), "Follows, when nothing was applied")
			}
		}
		h.inbox(x.Messages, names...)
	}
	x.end()
}

// commitKeep: what is applied while the claim goes on is durable, and the holder's last word.
func commitKeep(h *harness) {
	x := h.startHeld("a")
	kept := false
	keep := func(n int64) {
		v := x.try(lambdabiz.Commit{
			Operations: []lambdabiz.Operation{operation(n)}, Started: true, Progress: text(fmt.Sprint(n)), Again: true, Keep: true,
		})
		h.must(v.Err, "commit that keeps its claim")
		if kept = v.Held; !kept {
			x.take(x.Ref.Fence)
		}
	}
	for n := range int64(3) {
		keep(n + 1)
	}
	old := *x
	x.die()
	x = h.hold(h.join(), "a")
	want(h, len(x.Operations), 3, "operations")
	want(h, string(x.Progress), string(text("3")), "Progress")
	want(h, x.Status, lambdabiz.StatusStarted, "Status")
	if kept {
		want(h, x.Follows, old.Ref.Fence, "Follows")
		want(h, x.Crashes, 1, "Crashes")
	}
	v := old.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(9)}, Again: true, Keep: true})
	h.is(v.Err, lambdabiz.ErrFenced, "commit of a holder that was seen to have died")
	keep(4)
	if kept { // the home may need another claim before it can close
		x.Follows = x.Ref.Fence
	}
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(5)}, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
	r := h.load("a")
	want(h, r.Status, lambdabiz.StatusSucceeded, "Status")
	want(h, len(r.Operations), 5, "operations")
}

// commitTimeout: a wait's time-out was decided before the holder knew of the event.
func commitTimeout(h *harness) {
	for i, late := range []bool{false, true} {
		id, begin := fmt.Sprint(late), 100*i
		h.start(id)
		x := h.holdAt(h.join(), at(begin+4), id)
		wait := pending(1, lambdabiz.KindEvent)
		wait.Name, wait.DueAt = "e", at(begin+20)
		if late {
			wait.DueAt = at(begin + 8)
		}
		x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{wait}})
		h.outside(lambdabiz.Commit{At: at(begin + 10), Raises: []lambdabiz.Raise{{ID: id, Name: "e"}}})
		timedOut := wait
		timedOut.Status, timedOut.EndedAt = lambdabiz.StatusTimeout, wait.DueAt
		h.must(x.try(lambdabiz.Commit{
			At: at(begin + 12), Operations: []lambdabiz.Operation{timedOut, operation(2)}, Conditional: true, Seen: x.last(),
		}).Err, "commit of a time-out")
		own := x.Ref.Fence
		x = h.holdAt(x.worker, at(begin+13), id)
		h.inbox(x.Messages, "e")
		want(h, x.Operations[1].Status, lambdabiz.StatusSucceeded, "another operation of that commit")
		if late {
			want(h, x.Operations[0].Status, lambdabiz.StatusTimeout, "status of the wait, whose event came late")
			want(h, x.Follows, own, "Follows")
		} else {
			want(h, x.Operations[0].Status, lambdabiz.StatusStarted, "status of the wait, whose event came in time")
			if x.Follows == own {
				h.Fatalf("Follows names a commit that was not applied as a whole")
			}
		}
		x.end()
	}
}

func commitFenced(h *harness) {
	h.start("b")
	old := h.startHeld("a")
	old.die()
	x := h.hold(h.join(), "a")
	v := old.try(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{operation(1)}, Progress: text("p"), Started: true,
		Starts: []lambdabiz.RunStart{startOf("c", 1)}, Raises: []lambdabiz.Raise{{ID: "b", Name: "e"}},
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded},
	})
	h.is(v.Err, lambdabiz.ErrFenced, "commit under an old fence")
	_, err := h.b.Load(background, "c", "")
	h.is(err, lambdabiz.ErrNotFound, "Load of what a fenced commit started")
	h.inbox(h.load("b").Messages)
	r := h.load("a")
	if len(r.Operations) > 0 || len(r.Progress) > 0 || r.Status.Ended() || !r.StartedAt.IsZero() {
		h.Fatalf("a fenced commit has written: %+v", r)
	}
	future := *x
	future.Ref.Fence++
	future.fenced("a fence that nobody has got")
	unknown := *x
	unknown.Ref.RunID, unknown.Ref.Handle = "a#77", nil
	v = unknown.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}})
	h.is(v.Err, lambdabiz.ErrFenced, "commit for a run that does not exist")
	x.end()
}

func commitEnded(h *harness) {
	x := h.startHeld("a")
	ref := x.Ref
	x.end()
	x.Ref = ref
	x.fenced("commit for an ended run")
	x.Ref.Fence++
	x.fenced("commit for an ended run under the next fence")
	want(h, h.load("a").Status, lambdabiz.StatusSucceeded, "status")
	h.notDue(at(10000), "a", "it has ended")
}

func commitOutcome(h *harness) {
	failure := &lambdabiz.Failure{Message: "no", Code: "closed"}
	x := h.startHeld("a")
	x.commit(lambdabiz.Commit{
		At: at(30), Operations: []lambdabiz.Operation{operation(1)},
		Close: &lambdabiz.Close{
			Status: lambdabiz.StatusFailed, Result: text("r"), Error: failure, Orphans: []string{"o1", "o2"},
		},
	})
	r := h.load("a")
	want(h, r.Status, lambdabiz.StatusFailed, "Status")
	want(h, string(r.Result), string(text("r")), "Result")
	want(h, normalFailure(r.Error), failure, "Error")
	want(h, r.Orphans, []string{"o1", "o2"}, "Orphans")
	h.stamped(r.EndedAt, at(30), "EndedAt")
	want(h, r.Worker, int64(0), "Worker")
	want(h, len(r.Operations), 1, "operations")
}

func commitContext(h *harness) {
	ended, cancel := context.WithCancel(background)
	cancel()
	c := lambdabiz.Commit{At: at(0), Starts: []lambdabiz.RunStart{startOf("a", 1), startOf("b", 1)}}
	v, err := h.b.Commit(ended, []*lambdabiz.Commit{&c})
	_, errA := h.b.Load(background, "a", "")
	_, errB := h.b.Load(background, "b", "")
	applied := err == nil && v[0].Err == nil
	if errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
		applied = errA == nil
	}
	if (errA == nil) != applied || (errB == nil) != applied {
		h.Fatalf("Commit with an ended context: %v; then Load: %v, %v", err, errA, errB)
	}
}
