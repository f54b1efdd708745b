package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

var putChecks = []check{
	{name: "put/a run is read as it was written", run: putRead},
	{name: "put/operations that have not changed stay", run: putUnchanged},
	{name: "put/operations come in the order of their numbers", run: putOrder},
	{name: "put/messages are replaced as a whole", run: putMessages},
	{name: "put/large inboxes", run: putInbox},
	{name: "put/many operations at once", run: putMany},
	{name: "put/ids with any letters", run: putIDs},
	{name: "put/long operation paths", run: putPaths},
	{name: "put/an ended context writes nothing", run: putContext},
}

var versionChecks = []check{
	{name: "version/a newer one replaces", run: versionNewer},
	{name: "version/the same one stays", run: versionSame},
	{name: "version/an older one stays out", run: versionOlder},
	{name: "version/each item for itself", run: versionItems},
	{name: "version/a later start beats any event", run: versionStart},
	{name: "version/events are numbers", run: versionNumbers},
	{name: "version/a microsecond counts", run: versionMicros},
	{name: "version/putting twice is putting once", run: versionTwice},
	{name: "version/operations of an earlier run are not seen", run: versionRuns},
	{name: "version/what comes late from an earlier run is not seen", run: versionLate},
}

func putRead(h *harness) {
	s := runOf("a", 1, 5, operation(1, "x"), operation(2, "y"))
	h.put(s)
	h.put(runOf("b", 2, 1))
	want(h, normal(h.get("a")), normal(s), "snapshot")
	h.has("b", 2, 1)
}

func putUnchanged(h *harness) {
	h.put(runOf("a", 1, 1, operation(1, "x"), operation(2, "y")))
	h.put(runOf("a", 1, 2, operation(2, "z"), operation(3, "w")))
	h.has("a", 1, 2, "x", "z", "w")
	h.put(runOf("a", 1, 3))
	h.has("a", 1, 3, "x", "z", "w")
}

func putOrder(h *harness) {
	numbers := []int64{12_000_000_000, 2, 10, 1, 9, 100}
	s := runOf("a", 1, 1)
	for i, n := range numbers {
		o := operation(n, fmt.Sprint(n))
		o.ID = fmt.Sprintf("path-%d", i)
		s.Operations = append(s.Operations, o)
	}
	h.put(s)
	h.has("a", 1, 1, "1", "2", "9", "10", "100", "12000000000")
}

func message(number int64, payload string) lambdabiz.Message {
	return lambdabiz.Message{
		Number: number, Kind: lambdabiz.MessageEvent, Name: "Approve", Key: fmt.Sprint(number),
		Payload: lambdabiz.Payload(payload), ArrivedAt: at(int(number)),
	}
}

func putMessages(h *harness) {
	s := runOf("a", 1, 1)
	s.Messages = []lambdabiz.Message{message(2, `"x"`), message(9, `"y"`), message(10, `"z"`)}
	h.put(s)
	want(h, h.get("a").Messages, s.Messages, "messages")
	s = runOf("a", 1, 2)
	s.Messages = []lambdabiz.Message{message(9, `"y"`), message(11, `"w"`)}
	h.put(s)
	want(h, h.get("a").Messages, s.Messages, "messages after one was consumed and one came")
	h.put(runOf("a", 1, 3))
	want(h, len(h.get("a").Messages), 0, "messages that are left")
}

// putInbox has more waiting than many services take in one item.
func putInbox(h *harness) {
	s := runOf("a", 1, 1)
	for i := range 40 {
		s.Messages = append(s.Messages, message(int64(i+1), fmt.Sprintf("%q", strings.Repeat("m", 30<<10)+fmt.Sprint(i))))
	}
	h.put(s)
	want(h, h.get("a").Messages, s.Messages, "messages of 1.2 MB")
	s.Version.Event, s.Messages = 2, append(s.Messages[10:], message(90, `"late"`))
	h.put(s)
	want(h, h.get("a").Messages, s.Messages, "messages after ten were consumed and one came")
	s.Version.Event, s.Messages = 3, s.Messages[:2]
	h.put(s)
	want(h, h.get("a").Messages, s.Messages, "messages after most were consumed")
	again := runOf("a", 2, 1)
	again.Messages = []lambdabiz.Message{message(12, `"of the next run"`)}
	h.put(again)
	want(h, h.get("a").Messages, again.Messages, "messages of the next run")
	h.must(h.s.Delete(background, "a", again.RunID), "Delete")
	h.put(runOf("a", 3, 1))
	want(h, len(h.get("a").Messages), 0, "messages after Delete")
}

func putMany(h *harness) {
	const operations = 300
	s := runOf("a", 1, 1)
	wanted := []string{}
	for i := range operations {
		o := operation(int64(i+1), fmt.Sprint(i))
		o.Input = text(strings.Repeat("i", 10<<10))
		s.Operations = append(s.Operations, o)
		wanted = append(wanted, fmt.Sprint(i))
	}
	h.put(s)
	h.has("a", 1, 1, wanted...)
}

// oddIDs are ids that a careless store mixes up, or cannot keep.
var oddIDs = []string{
	"a", "A", "a/b", "a~1b", "#", "a#b", "a#1", "RUN", "OP#a", "EV#a", " ", "a ", " a", "a%b", "a_b", "a'b", `a"b`, `a\b`, "a:b|c",
	"日本", "🙂", "e\u0301", "\u00e9", "null", "0", "-", ".", "..", "arn", "{}", "?x=1&y=2", strings.Repeat("x", 256),
	strings.Repeat("日", 85) + "x", strings.Repeat("x", 255) + "y",
}

func putIDs(h *harness) {
	for i, id := range oddIDs {
		o := operation(1, "result of "+id)
		o.ID = id
		p := operation(2, "another")
		p.ID = id + "/" + id
		s := runOf(id, i, 1, o, p)
		s.RunID = id
		h.put(s)
		h.keep(id, lambdabiz.KeptEvent{Name: id, Key: id, Until: at(100)})
	}
	for i, id := range oddIDs {
		s := h.get(id)
		want(h, []any{s.ID, s.RunID, s.ScheduledAt}, []any{id, id, at(i)}, "id, run id and start")
		want(h, len(s.Operations), 2, "operations of "+id)
		want(h, []string{s.Operations[0].ID, s.Operations[1].ID}, []string{id, id + "/" + id}, "paths of "+id)
		want(h, string(s.Operations[0].Result), string(text("result of "+id)), "result of "+id)
		h.kept(id, 50, id)
		events, err := h.s.Kept(background, id, at(50))
		h.must(err, "Kept")
		want(h, events[0].Name, id, "name of the event")
	}
	all := runIDs(h.list(lambdabiz.Filter{}))
	slices.Sort(all)
	want(h, all, slices.Sorted(slices.Values(oddIDs)), "all run ids")
}

func putPaths(h *harness) {
	deep := strings.Repeat(strings.Repeat("s", 255)+"/", 12)
	paths := []string{deep + "x", deep + "y", deep, deep[:len(deep)-1], strings.Repeat("日", 85) + "/" + deep + "x"}
	s := runOf("a", 1, 1)
	wanted := []string{}
	for i, path := range paths {
		o := operation(int64(i+1), fmt.Sprint(i))
		o.ID = path
		s.Operations = append(s.Operations, o)
		wanted = append(wanted, fmt.Sprint(i))
	}
	h.put(s)
	h.has("a", 1, 1, wanted...)
	for i, o := range h.get("a").Operations {
		want(h, o.ID, paths[i], "path")
	}
}

func putContext(h *harness) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	h.is(h.s.Put(ctx, runOf("a", 1, 1, operation(1, "x"))), context.Canceled, "Put under an ended context")
	h.is(h.s.Reserve(ctx, runOf("a", 1, 1), ""), context.Canceled, "Reserve under an ended context")
	h.is(h.s.Keep(ctx, "a", event("k", 1)), context.Canceled, "Keep under an ended context")
	h.none("a")
	h.kept("a", 10)
}

func versionNewer(h *harness) {
	h.put(runOf("a", 1, 1, operation(1, "old")))
	h.put(runOf("a", 1, 2, operation(1, "new")))
	h.has("a", 1, 2, "new")
}

func versionSame(h *harness) {
	h.put(runOf("a", 1, 2, operation(1, "first")))
	second := runOf("a", 1, 2, operation(1, "second"), operation(2, "missing before"))
	second.Progress = text("another")
	h.put(second)
	h.has("a", 1, 2, "first", "missing before")
}

func versionOlder(h *harness) {
	h.put(runOf("a", 1, 7, operation(1, "new")))
	for e := range int64(7) {
		h.put(runOf("a", 1, e, operation(1, "old")))
		h.has("a", 1, 7, "new")
	}
}

func versionItems(h *harness) {
	h.put(runOf("a", 1, 2, operation(1, "of 2")))
	h.put(runOf("a", 1, 5, operation(2, "of 5")))
	h.put(runOf("a", 1, 3, operation(1, "of 3"), operation(2, "of 3"), operation(3, "of 3")))
	h.has("a", 1, 5, "of 3", "of 5", "of 3")
	h.put(runOf("a", 1, 4, operation(1, "of 4"), operation(3, "of 4")))
	h.has("a", 1, 5, "of 4", "of 5", "of 4")
}

func versionStart(h *harness) {
	h.put(runOf("a", 1, 25_000, operation(1, "first run")))
	h.put(runOf("a", 2, 0, operation(1, "second run")))
	h.has("a", 2, 0, "second run")
	h.put(runOf("a", 1, 25_001, operation(1, "first run again")))
	h.has("a", 2, 0, "second run")
}

func versionNumbers(h *harness) {
	events := []int64{0, 1, 9, 10, 99, 100, 1_000_000, 1 << 40, 1<<63 - 1}
	for i, e := range events {
		h.put(runOf("a", 1, e, operation(1, fmt.Sprint(e))))
		h.has("a", 1, e, fmt.Sprint(e))
		if i > 0 {
			h.put(runOf("a", 1, events[i-1], operation(1, "old")))
		}
		h.has("a", 1, e, fmt.Sprint(e))
	}
}

func versionMicros(h *harness) {
	first, second := runOf("a", 1, 9, operation(1, "first")), runOf("a", 1, 2, operation(1, "second"))
	second.Version.Start = second.Version.Start.Add(1000)
	second.Progress = text("second")
	h.put(first)
	h.put(second)
	h.put(first)
	want(h, string(h.get("a").Progress), string(text("second")), "progress")
	want(h, h.get("a").Version, second.Version, "version")
	want(h, string(h.get("a").Operations[0].Result), string(text("second")), "result")
}

func versionTwice(h *harness) {
	s := runOf("a", 1, 3, operation(1, "x"), operation(2, "y"))
	s.Messages = []lambdabiz.Message{message(1, `1`)}
	h.put(s)
	before := h.get("a")
	h.put(s)
	h.must(h.other.Put(background, s), "Put by another handle")
	want(h, h.get("a"), before, "snapshot")
	h.listed(lambdabiz.Filter{}, "all", "a#1")
}

func versionRuns(h *harness) {
	h.put(runOf("a", 1, 9, operation(1, "first"), operation(2, "first"), operation(3, "first")))
	h.put(runOf("a", 2, 1, operation(2, "second")))
	h.has("a", 2, 1, "second")
	h.put(runOf("a", 2, 2, operation(1, "second")))
	h.has("a", 2, 2, "second", "second")
}

func versionLate(h *harness) {
	h.put(runOf("a", 2, 1, operation(1, "second")))
	h.put(runOf("a", 1, 9, operation(1, "first"), operation(2, "first")))
	h.has("a", 2, 1, "second")
	h.put(runOf("a", 2, 2, operation(2, "second")))
	h.has("a", 2, 2, "second", "second")
}
