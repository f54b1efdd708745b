package backendtest

import (
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

var raiseChecks = []check{
	{name: "raise/keeps order and fields", run: raiseOrder},
	{name: "raise/needs an open run", run: raiseRefused},
	{name: "raise/a key is taken once", run: raiseKeys},
	{name: "raise/a known key is acknowledged after the end", run: raiseKeyEnded},
	{name: "raise/a key is the run's own", run: raiseKeyScope},
	{name: "raise/a run id names the run", run: raiseRunID},
	{name: "raise/to its own id comes with the commit", run: raiseSelf},
}

func raiseOrder(h *harness) {
	h.start("a")
	for i := range 5 {
		h.outside(lambdabiz.Commit{At: at(i), Raises: []lambdabiz.Raise{
			{ID: "a", Name: fmt.Sprintf("é%d", i), Key: fmt.Sprintf("k%d", i), Payload: text("first")},
			{ID: "a", Name: fmt.Sprintf("f%d", i), Payload: lambdabiz.Payload("\x00\xff")},
		}})
	}
	messages := h.load("a").Messages
	h.inbox(messages, "é0", "f0", "é1", "f1", "é2", "f2", "é3", "f3", "é4", "f4")
	for i, m := range messages {
		wanted := lambdabiz.Message{
			Number: m.Number, Kind: lambdabiz.MessageEvent, Name: fmt.Sprintf("é%d", i/2),
			Key: fmt.Sprintf("k%d", i/2), Payload: text("first"), ArrivedAt: m.ArrivedAt,
		}
		if i%2 == 1 {
			wanted.Name, wanted.Key, wanted.Payload = fmt.Sprintf("f%d", i/2), "", lambdabiz.Payload("\x00\xff")
		}
		want(h, m, wanted, "message")
		h.stamped(m.ArrivedAt, at(i/2), "ArrivedAt")
	}
	want(h, len(h.due(at(9), "a", "it is new").Messages), 10, "messages claimed")
}

func raiseRefused(h *harness) {
	h.is(h.tryRaise(lambdabiz.Raise{ID: "a", Name: "e"}), lambdabiz.ErrNotFound, "raise in an unknown id")
	x := h.startHeld("a")
	h.inbox(h.load("a").Messages)
	h.raise("a", "e")
	x.end()
	h.is(h.tryRaise(lambdabiz.Raise{ID: "a", Name: "e"}), lambdabiz.ErrClosed, "raise in an ended run")
}

func (h *harness) raiseKey(id, key string) error {
	h.Helper()
	return h.tryRaise(lambdabiz.Raise{ID: id, Name: "e-" + key, Key: key})
}

func raiseKeys(h *harness) {
	h.start("a")
	for _, key := range []string{"k", "k", "K", "k "} {
		h.must(h.raiseKey("a", key), "raise with a key")
	}
	h.raise("a", "none")
	h.raise("a", "none")
	h.inbox(h.load("a").Messages, "e-k", "e-K", "e-k ", "none", "none")
	// Twice in one commit, and after it was consumed.
	x := h.hold(h.join(), "a")
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{x.Messages[0].Number}})
	v := h.outside(lambdabiz.Commit{Raises: []lambdabiz.Raise{
		{ID: "a", Name: "n", Key: "n"}, {ID: "a", Name: "n", Key: "n"}, {ID: "a", Name: "e-k", Key: "k"},
	}})
	for _, rv := range v.Raises {
		h.must(rv.Err, "raise with a key that was seen")
	}
	h.inbox(x.arrived(), "e-K", "e-k ", "none", "none", "n")
}

func raiseKeyEnded(h *harness) {
	x := h.startHeld("a")
	h.must(h.raiseKey("a", "k"), "raise")
	x.end()
	h.must(h.raiseKey("a", "k"), "raise with a known key after the end")
	h.is(h.raiseKey("a", "new"), lambdabiz.ErrClosed, "raise with a new key after the end")
}

func raiseKeyScope(h *harness) {
	x := h.startHeld("a")
	h.start("b")
	h.must(h.raiseKey("a", "k"), "raise")
	h.must(h.raiseKey("b", "k"), "raise of the same key in another id")
	h.inbox(h.load("b").Messages, "e-k")
	x.end()
	s := startOf("a", 2)
	s.Policy = lambdabiz.RestartEnded
	if h.refuses(lambdabiz.FeatureStartPolicy) {
		return
	}
	h.startNew(s)
	h.inbox(h.load("a").Messages)
	h.must(h.raiseKey("a", "k"), "raise of the same key in a run that does not continue the first one")
	h.inbox(h.load("a").Messages, "e-k")
}

func raiseRunID(h *harness) {
	x := h.startHeld("a")
	to := func(runID string) error {
		return h.tryRaise(lambdabiz.Raise{ID: "a", RunID: runID, Name: "e"})
	}
	h.must(to("a#1"), "raise in the run")
	h.is(to("a#2"), lambdabiz.ErrNotFound, "raise in a run that does not exist")
	h.is(h.tryRaise(lambdabiz.Raise{ID: "b", RunID: "a#1", Name: "e"}), lambdabiz.ErrNotFound,
		"raise in another id with that run id")
	x.end()
	if h.refuses(lambdabiz.FeatureStartPolicy) {
		return
	}
	s := startOf("a", 2)
	s.Policy = lambdabiz.RestartEnded
	h.startNew(s)
	h.is(to("a#1"), lambdabiz.ErrClosed, "raise in the run that has ended")
	h.must(to("a#2"), "raise in the latest run")
	h.inbox(h.load("a").Messages, "e")
}

func raiseSelf(h *harness) {
	x := h.startHeld("a")
	v := x.commit(lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "a", Name: "self"}}, Fetch: true})
	h.is(v.Raises[0].Err, nil, "raise in the own run")
	if !h.describes.LongPoll {
		h.inbox(v.Messages, "self")
		x.Messages = v.Messages
	}
	h.inbox(x.Messages, "self")
	x.commit(lambdabiz.Commit{
		Seen: x.last(), Release: &lambdabiz.Release{}, Raises: []lambdabiz.Raise{{ID: "a", Name: "later"}},
	})
	c := h.due(at(4), "a", "the commit that released it has raised an event in it")
	h.inbox(c.Messages, "self", "later")
}

var beforeStart = []lambdabiz.Feature{lambdabiz.FeatureBeforeStart}

var keepChecks = []check{
	{name: "keep/an event waits for the start", needs: beforeStart, run: keepForStart},
	{name: "keep/an event expires", needs: beforeStart, run: keepExpires},
	{name: "keep/a clock that is ahead", needs: beforeStart, run: keepOthers},
	{name: "keep/a key is kept once", needs: beforeStart, run: keepKeys},
	{
		name: "keep/an event waits for the run after an ended one", run: keepAfterEnd,
		needs: []lambdabiz.Feature{lambdabiz.FeatureBeforeStart, lambdabiz.FeatureStartPolicy},
	},
	{name: "keep/an open run gets the event at once", needs: beforeStart, run: keepOpen},
}

func (h *harness) keep(name, key string, seconds int) error {
	h.Helper()
	return h.tryRaise(lambdabiz.Raise{ID: "a", Name: name, Key: key, Payload: text(name), Until: at(seconds)})
}

func (h *harness) startAt(s lambdabiz.RunStart, seconds int) {
	h.Helper()
	v := h.outside(lambdabiz.Commit{At: at(seconds), Starts: []lambdabiz.RunStart{s}}).Starts[0]
	h.must(v.Err, "start")
	want(h, v.Created, true, "Created")
}

func keepForStart(h *harness) {
	h.must(h.keep("e1", "", 100), "raise before the start")
	h.must(h.keep("e2", "k", 50), "raise before the start")
	_, err := h.b.Load(background, "a", "")
	h.is(err, lambdabiz.ErrNotFound, "Load before the start")
	// What the start's own commit raises comes after what was kept.
	h.outside(lambdabiz.Commit{
		At: at(10), Starts: []lambdabiz.RunStart{startOf("a", 1)}, Raises: []lambdabiz.Raise{{ID: "a", Name: "e3"}},
	})
	messages := h.load("a").Messages
	h.inbox(messages, "e1", "e2", "e3")
	want(h, string(messages[0].Payload), string(text("e1")), "payload of a kept event")
	h.stamped(messages[0].ArrivedAt, at(0), "ArrivedAt of a kept event")
	want(h, messages[1].Key, "k", "key of a kept event")
	h.must(h.raiseKey("a", "k"), "raise with the key of a kept event")
	h.inbox(h.load("a").Messages, "e1", "e2", "e3")
	h.inbox(h.due(at(11), "a", "it is new").Messages, "e1", "e2", "e3")

	worker := h.join()
	s := startOf("b", 1)
	s.Claim = true
	h.must(h.tryRaise(lambdabiz.Raise{ID: "b", Name: "kept", Until: at(100)}), "raise before the start")
	v := h.outside(lambdabiz.Commit{Worker: worker, Starts: []lambdabiz.RunStart{s}}).Starts[0]
	if v.Run.Fence != 0 {
		h.inbox(v.Messages, "kept")
	}
	h.inbox(h.load("b").Messages, "kept")
}

func keepExpires(h *harness) {
	h.must(h.keep("short", "", 10), "raise before the start")
	h.must(h.keep("long", "", 11), "raise before the start")
	h.startAt(startOf("a", 1), 10)
	h.inbox(h.load("a").Messages, "long")
}

// keepOthers raises with a clock that is an hour ahead: by it the events for other orchestrations have expired.
func keepOthers(h *harness) {
	if h.setTime != nil {
		return // the home goes by a clock of its own
	}
	h.must(h.keep("e1", "", 100), "raise before the start")
	v := h.outside(lambdabiz.Commit{At: at(3600), Raises: []lambdabiz.Raise{
		{ID: "other", Name: "e2", Payload: text("e2"), Until: at(3700)},
	}})
	h.must(v.Raises[0].Err, "raise for another orchestration by a clock that is ahead")
	h.startAt(startOf("a", 1), 10)
	h.inbox(h.load("a").Messages, "e1")
}

func keepKeys(h *harness) {
	h.must(h.keep("e1", "k", 100), "raise before the start")
	h.must(h.keep("e2", "k", 100), "raise with the same key")
	h.must(h.keep("e3", "j", 100), "raise with another key")
	h.startAt(startOf("a", 1), 1)
	h.inbox(h.load("a").Messages, "e1", "e3")
}

func keepAfterEnd(h *harness) {
	x := h.startHeld("a")
	h.must(h.raiseKey("a", "k"), "raise")
	x.end()
	h.must(h.keep("known", "k", 100), "raise with a key that the ended run knows")
	h.is(h.keep("late", "", 100), lambdabiz.ErrClosed, "raise after the end, for a first start")
	h.must(h.tryRaise(lambdabiz.Raise{ID: "a", Name: "e1", Payload: text("e1"), Until: at(100), AfterEnd: true}), "raise after the end")
	for n := 2; n < 4; n++ {
		s := startOf("a", n)
		s.Policy = lambdabiz.RestartEnded
		h.startAt(s, n)
		if n == 2 {
			h.inbox(h.load("a").Messages, "e1")
			h.hold(h.join(), "a").end()
		} else {
			h.inbox(h.load("a").Messages)
		}
	}
}

func keepOpen(h *harness) {
	h.start("a")
	h.must(h.keep("e1", "", 100), "raise in an open run")
	h.inbox(h.load("a").Messages, "e1")
}
