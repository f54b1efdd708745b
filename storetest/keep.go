package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

var keepChecks = []check{
	{name: "keep/events come in the order in which they were kept", run: keepOrder},
	{name: "keep/one with the same key stays", run: keepSame},
	{name: "keep/until its time is over", run: keepUntil},
	{name: "keep/a key is free again when its time is over", run: keepAgain},
	{name: "keep/Drop removes by key", run: keepDrop},
	{name: "keep/order goes on after a Drop", run: keepOrderOn},
	{name: "keep/events belong to one id", run: keepIDs},
	{name: "keep/keys with any letters", run: keepKeys},
	{name: "keep/many at once", run: keepMany},
	{name: "keep/a run of the id changes nothing", run: keepRun},
}

func keepOrder(h *harness) {
	keys := []string{"m", "z", "a", "10", "9", "Z"}
	for _, k := range keys {
		h.keep("a", event(k, 1))
	}
	h.kept("a", 1, keys...)
	late := event("late", 0) // by a sender whose clock is behind
	h.must(h.other.Keep(background, "a", late), "Keep by another handle")
	h.kept("a", 1, append(keys, "late")...)
}

func keepSame(h *harness) {
	h.keep("a", event("k", 1))
	h.keep("a", event("l", 2))
	second := event("k", 3)
	second.Name, second.Payload = "Reject", text("another")
	h.keep("a", second)
	events, err := h.s.Kept(background, "a", at(4))
	h.must(err, "Kept")
	want(h, events, []lambdabiz.KeptEvent{event("k", 1), event("l", 2)}, "events")
}

func keepUntil(h *harness) {
	e := event("k", 1)
	e.Until = at(10)
	h.keep("a", e)
	h.keep("a", event("l", 2))
	h.kept("a", 9, "k", "l")
	h.kept("a", 10, "l")
	h.kept("a", 2000)
}

func keepAgain(h *harness) {
	e := event("k", 1)
	e.Until = at(10)
	h.keep("a", e)
	h.keep("a", event("l", 2))
	again := event("k", 10)
	again.Payload = text("again")
	h.keep("a", again)
	events, err := h.s.Kept(background, "a", at(10))
	h.must(err, "Kept")
	want(h, events, []lambdabiz.KeptEvent{event("l", 2), again}, "events")
}

func (h *harness) drop(id string, keys ...string) {
	h.Helper()
	h.must(h.s.Drop(background, id, keys), "Drop")
}

func keepDrop(h *harness) {
	for _, k := range []string{"a", "b", "c", "d"} {
		h.keep("a", event(k, 1))
	}
	h.drop("a", "b", "unknown", "d")
	h.kept("a", 1, "a", "c")
	h.drop("a")
	h.drop("a", "b")
	h.drop("unknown", "a")
	h.kept("a", 1, "a", "c")
	h.drop("a", "a", "c")
	h.kept("a", 1)
	keys := []string{}
	for i := range 60 {
		keys = append(keys, fmt.Sprint(i))
		h.keep("a", event(fmt.Sprint(i), 1))
	}
	h.drop("a", keys...)
	h.kept("a", 1)
}

func keepOrderOn(h *harness) {
	h.keep("a", event("c", 1))
	h.keep("a", event("b", 1))
	h.drop("a", "c")
	h.keep("a", event("a", 1))
	h.kept("a", 1, "b", "a")
	h.drop("a", "b", "a")
	h.keep("a", event("y", 1))
	h.keep("a", event("x", 1))
	h.kept("a", 1, "y", "x")
}

func keepIDs(h *harness) {
	h.keep("a", event("k", 1))
	h.keep("ab", event("l", 1))
	h.kept("a", 1, "k")
	h.kept("ab", 1, "l")
	h.kept("b", 1)
	h.kept("A", 1)
	h.drop("ab", "k", "l")
	h.kept("a", 1, "k")
}

func keepKeys(h *harness) {
	keys := append(slices.Clone(oddIDs), strings.Repeat("k", 2000)+"1", strings.Repeat("k", 2000)+"2")
	for _, k := range keys {
		h.keep("a", event(k, 1))
	}
	h.kept("a", 1, keys...)
	h.drop("a", keys[1:]...)
	h.kept("a", 1, keys[0])
}

func keepMany(h *harness) {
	const senders, each = 8, 5
	errs := make([]error, senders)
	var group sync.WaitGroup
	for i := range senders {
		store := h.s
		if i%2 == 1 {
			store = h.other
		}
		group.Go(func() {
			for j := range each {
				errs[i] = errors.Join(errs[i],
					store.Keep(background, "a", event(fmt.Sprintf("%d-%d", i, j), 1)),
					store.Keep(background, "a", event(fmt.Sprintf("shared %d", j), 1)))
			}
		})
	}
	group.Wait()
	h.must(errors.Join(errs...), "Keep by many")
	events, err := h.s.Kept(background, "a", at(1))
	h.must(err, "Kept")
	want(h, len(events), senders*each+each, "events")
	next := map[string]int{}
	for _, e := range events {
		var sender, number int
		if n, _ := fmt.Sscanf(e.Key, "%d-%d", &sender, &number); n < 2 {
			sender = -1
			_, err := fmt.Sscanf(e.Key, "shared %d", &number)
			h.must(err, "key "+e.Key)
		}
		who := fmt.Sprint(sender)
		want(h, number, next[who], "next event of sender "+who)
		next[who]++
	}
}

func keepRun(h *harness) {
	h.keep("a", event("k", 1))
	h.reserve(runOf("a", 1, 0), "")
	h.put(runOf("a", 1, 1, operation(1, "x")))
	h.kept("a", 1, "k")
	h.drop("a", "k")
	h.has("a", 1, 1, "x")
}
