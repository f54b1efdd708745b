package storetest

import (
	"github.com/lambdabiz/lambdabiz"
)

var getChecks = []check{
	{name: "get/an unknown id is ErrNotFound", run: getUnknown},
	{name: "get/reads what another handle has just written", reopens: true, run: getOther},
	{name: "get/what is written is there after closing", reopens: true, run: getClosed},
}

var deleteChecks = []check{
	{name: "delete/removes the run and its operations", run: deleteRun},
	{name: "delete/leaves any other run and id", run: deleteOthers},
	{name: "delete/nothing to remove is no error", run: deleteNothing},
	{name: "delete/an id begins anew", run: deleteAnew},
	{name: "delete/kept events stay", run: deleteKept},
}

func getUnknown(h *harness) {
	h.none("a")
	h.none("")
	h.put(runOf("ab", 1, 1))
	for _, id := range []string{"a", "AB", "abc", "", "b", "ab#1", "ab "} {
		h.none(id)
	}
}

func getOther(h *harness) {
	for e := range int64(50) {
		h.put(runOf("a", 1, e, operation(1, "x")))
		s := h.getFrom(h.other, "a")
		want(h, s.Version.Event, e, "event by another handle")
		want(h, len(s.Operations), 1, "operations by another handle")
	}
	h.must(h.other.Keep(background, "a", event("k", 1)), "Keep by another handle")
	h.kept("a", 1, "k")
	h.must(h.other.Delete(background, "a", "a#1"), "Delete by another handle")
	h.none("a")
}

func getClosed(h *harness) {
	h.must(h.other.Put(background, runOf("a", 1, 3, operation(1, "x"))), "Put by another handle")
	h.must(h.other.Keep(background, "a", event("k", 1)), "Keep by another handle")
	if h.other != h.s {
		h.must(h.other.Close(), "Close of another handle")
	}
	h.has("a", 1, 3, "x")
	h.kept("a", 1, "k")
}

func deleteRun(h *harness) {
	h.put(runOf("a", 1, 1, operation(1, "x"), operation(2, "y")))
	h.must(h.s.Delete(background, "a", "a#1"), "Delete")
	h.none("a")
	h.listed(lambdabiz.Filter{}, "all")
	h.must(h.s.Delete(background, "a", "a#1"), "Delete again")
}

func deleteOthers(h *harness) {
	h.put(runOf("a", 1, 1, operation(1, "x")))
	h.put(runOf("ab", 1, 1, operation(1, "y")))
	for _, runID := range []string{"", "a#2", "ab#1", "A#1"} {
		h.must(h.s.Delete(background, "a", runID), "Delete of "+runID)
		h.has("a", 1, 1, "x")
	}
	h.put(runOf("a", 2, 1, operation(1, "z")))
	h.must(h.s.Delete(background, "a", "a#1"), "Delete of a run that was replaced")
	h.has("a", 2, 1, "z")
	h.must(h.s.Delete(background, "a", "a#2"), "Delete")
	h.none("a")
	h.has("ab", 1, 1, "y")
}

func deleteNothing(h *harness) {
	h.must(h.s.Delete(background, "a", "a#1"), "Delete of an unknown id")
	h.must(h.s.Delete(background, "a", ""), "Delete without a run id")
}

func deleteAnew(h *harness) {
	s := runOf("a", 1, 1, operation(1, "x"), operation(2, "y"))
	s.Messages = []lambdabiz.Message{message(1, "1")}
	h.put(s)
	h.must(h.s.Delete(background, "a", "a#1"), "Delete")
	h.reserve(runOf("a", 2, 0), "")
	h.has("a", 2, 0)
	want(h, len(h.get("a").Messages), 0, "messages")
	h.must(h.s.Delete(background, "a", "a#2"), "Delete")
	h.put(runOf("a", 3, 1, operation(1, "z")))
	h.has("a", 3, 1, "z")
}

func deleteKept(h *harness) {
	h.keep("a", event("k", 1))
	h.put(runOf("a", 1, 1))
	h.kept("a", 1, "k")
	h.must(h.s.Delete(background, "a", "a#1"), "Delete")
	h.kept("a", 1, "k")
}
