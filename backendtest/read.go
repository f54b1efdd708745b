package backendtest

import (
	"fmt"
	"slices"

	"github.com/lambdabiz/lambdabiz"
)

var loadChecks = []check{
	{name: "load/the latest run, or the one asked for", run: loadRuns},
	{name: "load/an unknown run is ErrNotFound", run: loadUnknown},
	{name: "load/Ended tells of many runs at once", needs: continues, run: loadEnded},
}

func loadEnded(h *harness) {
	ender, ok := h.b.(lambdabiz.Ender)
	if !ok {
		return
	}
	var refs []lambdabiz.RunRef
	var wanted []bool
	add := func(id, runID string, ended bool) {
		refs, wanted = append(refs, lambdabiz.RunRef{ID: id, RunID: runID}), append(wanted, ended)
	}
	for i := range 20 {
		id := fmt.Sprint("open-", i)
		h.start(id)
		add(id, id+"#1", false)
		id = fmt.Sprint("ended-", i)
		h.startHeld(id).end()
		add(id, id+"#1", true)
	}
	h.startHeld("failed").fail()
	add("failed", "failed#1", true)
	h.start("terminated")
	h.control(lambdabiz.ControlTerminate, "terminated")
	add("terminated", "terminated#1", true)
	h.startHeld("held")
	add("held", "held#1", false)
	h.startHeld("continued").continueAsNew(2)
	add("continued", "continued#1", true)
	add("continued", "continued#2", false)
	add("nobody", "nobody#1", true)
	add("held", "another", true)
	ended, err := ender.Ended(background, refs)
	h.must(err, "Ended")
	want(h, ended, wanted, "which runs are open no more")
	ended, err = ender.Ended(background, nil)
	h.must(err, "Ended of no runs")
	want(h, len(ended), 0, "answers on no runs")
}

var lists = []lambdabiz.Feature{lambdabiz.FeatureList}

var listChecks = []check{
	{name: "list/newest start first", needs: lists, run: listOrder},
	{name: "list/pages have every run once", needs: lists, run: listPages},
	{name: "list/a page is stable while runs start", needs: lists, run: listStable},
	{name: "list/filters", needs: lists, run: listFilters},
	{name: "list/filters look at the latest run", needs: lists, run: listLatest},
	{name: "list/leaves payloads out", needs: lists, run: listPayloads},
	{name: "list/a cursor that is none is an error", run: listCursor},
	{name: "list/a prefix is not a pattern", needs: lists, run: listPrefix},
}

var purges = []lambdabiz.Feature{lambdabiz.FeaturePurge}

var purgeChecks = []check{
	{name: "purge/removes an ended id with its keys", needs: purges, run: purgeID},
	{name: "purge/an open run stays", needs: purges, run: purgeOpen},
	{name: "purge/by time and limit", needs: purges, run: purgeTime},
	{name: "purge/a purged id starts from nothing", needs: purges, run: purgeFresh},
	{
		name:  "purge/a run that continues stays whole without those before it",
		needs: []lambdabiz.Feature{lambdabiz.FeaturePurge, lambdabiz.FeatureContinueAsNew}, run: purgeChain,
	},
}

func listCursor(h *harness) {
	h.start("a")
	for _, cursor := range []string{"garbage", "zz", "1", "0", "-1", "1.1x", "1 a", " ", "%", "a.b"} {
		if page, err := h.b.List(background, lambdabiz.Filter{Cursor: cursor}); err == nil {
			h.Errorf("a list went on after the cursor %q, which no page had: %d runs", cursor, len(page.Runs))
		}
	}
}

// list returns all pages of a filter.
func (h *harness) list(f lambdabiz.Filter) []lambdabiz.RunInfo {
	h.Helper()
	h.settle()
	var all []lambdabiz.RunInfo
	for range 1000 {
		page, err := h.b.List(background, f)
		h.must(err, "List")
		all = append(all, page.Runs...)
		if page.Next == "" {
			h.counts(f, all)
			return all
		}
		if len(page.Runs) == 0 {
			h.Fatalf("List: an empty page with a next one")
		}
		f.Cursor = page.Next
	}
	h.Fatalf("List: more than 1000 pages")
	return nil
}

// counts expects that a home which counts comes to the same as its list.
func (h *harness) counts(f lambdabiz.Filter, all []lambdabiz.RunInfo) {
	h.Helper()
	counter, ok := h.b.(lambdabiz.Counter)
	if !ok {
		return
	}
	counts, err := counter.Counts(background, f)
	h.must(err, "Counts")
	listed := map[lambdabiz.Status]int{}
	for _, r := range all {
		listed[r.Status]++
	}
	for status := range lambdabiz.StatusTerminated + 1 {
		want(h, counts[status], listed[status], fmt.Sprintf("runs that are %v, of a list by %+v", status, f))
	}
}

func runIDs(runs []lambdabiz.RunInfo) []string {
	out := []string{}
	for _, r := range runs {
		out = append(out, r.RunID)
	}
	return out
}

// again starts another run of an id that has ended.
func (h *harness) restart(id string, number int) {
	h.Helper()
	h.hold(h.join(), id).end()
	s := startOf(id, number)
	s.Policy = lambdabiz.RestartEnded
	h.startNew(s)
}

func loadRuns(h *harness) {
	h.start("a")
	want(h, h.loadRun("a", "a#1").RunID, "a#1", "the run asked for")
	if h.refuses(lambdabiz.FeatureStartPolicy) {
		return
	}
	h.restart("a", 2)
	want(h, h.load("a").RunID, "a#2", "the latest run")
	want(h, h.loadRun("a", "a#1").Status, lambdabiz.StatusSucceeded, "status of the first run")
	want(h, h.loadRun("a", "a#2").Status.Ended(), false, "the second run has ended")
}

func loadUnknown(h *harness) {
	h.start("a")
	h.start("b")
	for _, x := range [][2]string{{"c", ""}, {"a", "a#2"}, {"a", "b#1"}, {"", ""}, {"A", ""}} {
		r, err := h.b.Load(background, x[0], x[1])
		h.is(err, lambdabiz.ErrNotFound, fmt.Sprintf("Load(%q, %q): %+v", x[0], x[1], r))
	}
}

func listOrder(h *harness) {
	want(h, len(h.list(lambdabiz.Filter{})), 0, "runs of an empty backend")
	for _, x := range []struct {
		id      string
		seconds int
	}{{"d", 10}, {"b", 20}, {"a", 30}, {"c", 40}} {
		h.startAt(startOf(x.id, 1), x.seconds)
	}
	want(h, runIDs(h.list(lambdabiz.Filter{})), []string{"c#1", "a#1", "b#1", "d#1"}, "newest first")
}

func listPages(h *harness) {
	const runs = 23
	for i := range runs {
		h.startAt(startOf(fmt.Sprint(i), 1), i/4) // several of the same time
	}
	whole := runIDs(h.list(lambdabiz.Filter{}))
	want(h, len(whole), runs, "runs in one page")
	for _, limit := range []int{1, 5, 22, 23, 24} {
		page, err := h.b.List(background, lambdabiz.Filter{Limit: limit})
		h.must(err, "List")
		want(h, len(page.Runs), min(limit, runs), "runs in a page")
		want(h, page.Next == "", limit >= runs, "no further page")
		want(h, runIDs(h.list(lambdabiz.Filter{Limit: limit})), whole, "runs in pages")
	}
}

func listStable(h *harness) {
	for i := range 6 {
		h.startAt(startOf(fmt.Sprint(i), 1), i)
	}
	first, err := h.b.List(background, lambdabiz.Filter{Limit: 3})
	h.must(err, "List")
	h.startAt(startOf("new", 1), 100)
	h.control(lambdabiz.ControlTerminate, "1")
	second, err := h.b.List(background, lambdabiz.Filter{Limit: 3, Cursor: first.Next})
	h.must(err, "List")
	want(h, append(runIDs(first.Runs), runIDs(second.Runs)...),
		[]string{"5#1", "4#1", "3#1", "2#1", "1#1", "0#1"}, "runs of two pages")
}

func listFilters(h *harness) {
	for i, id := range []string{"order-1", "order-2", "Order-3", "bill-1"} {
		s := startOf(id, 1)
		s.Name = id[:len(id)-2]
		s.Tags = map[string]string{"even": fmt.Sprint(i%2 == 0), "n": fmt.Sprint(i)}
		h.startAt(s, i)
	}
	h.control(lambdabiz.ControlTerminate, "order-1")
	open := []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}
	for _, x := range []struct {
		what   string
		filter lambdabiz.Filter
		want   []string
	}{
		{"name", lambdabiz.Filter{Name: "order"}, []string{"order-2#1", "order-1#1"}},
		{"prefix", lambdabiz.Filter{IDPrefix: "order-"}, []string{"order-2#1", "order-1#1"}},
		{"status", lambdabiz.Filter{Status: open}, []string{"bill-1#1", "Order-3#1", "order-2#1"}},
		{"ended", lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusTerminated}}, []string{"order-1#1"}},
		{"tag", lambdabiz.Filter{Tags: map[string]string{"even": "true"}}, []string{"Order-3#1", "order-1#1"}},
		{"tags", lambdabiz.Filter{Tags: map[string]string{"even": "true", "n": "2"}}, []string{"Order-3#1"}},
		{"no such tag", lambdabiz.Filter{Tags: map[string]string{"x": ""}}, []string{}},
		{"after", lambdabiz.Filter{ScheduledAfter: at(2)}, []string{"bill-1#1", "Order-3#1"}},
		{"before", lambdabiz.Filter{ScheduledBefore: at(2)}, []string{"order-2#1", "order-1#1"}},
		{"all", lambdabiz.Filter{
			Name: "order", IDPrefix: "order-2", Status: open, Tags: map[string]string{"n": "1"},
			ScheduledAfter: at(1), ScheduledBefore: at(2),
		}, []string{"order-2#1"}},
		{"blocked", lambdabiz.Filter{Blocked: true}, []string{}},
		{"paused", lambdabiz.Filter{Paused: true}, []string{}},
	} {
		want(h, runIDs(h.list(x.filter)), x.want, "list by "+x.what)
		x.filter.Limit = 1
		want(h, runIDs(h.list(x.filter)), x.want, "list in pages by "+x.what)
	}
}

func listLatest(h *harness) {
	h.start("a")
	h.hold(h.join(), "a").end()
	s := startOf("a", 2)
	s.Policy = lambdabiz.RestartEnded
	if h.refuses(lambdabiz.FeatureStartPolicy) {
		return
	}
	h.startAt(s, 10)
	succeeded := lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}}
	want(h, runIDs(h.list(lambdabiz.Filter{})), []string{"a#2"}, "latest runs")
	want(h, runIDs(h.list(succeeded)), []string{}, "latest runs that have succeeded")
	if h.refuses(lambdabiz.FeatureEarlierRuns) {
		return
	}
	succeeded.AllRuns = true
	want(h, runIDs(h.list(succeeded)), []string{"a#1"}, "all runs that have succeeded")
	want(h, runIDs(h.list(lambdabiz.Filter{AllRuns: true})), []string{"a#2", "a#1"}, "all runs")
}

func listPayloads(h *harness) {
	x := h.startHeld("a")
	x.commit(lambdabiz.Commit{Progress: text("p")})
	x.end()
	r := h.list(lambdabiz.Filter{})[0]
	if len(r.Input)+len(r.Result)+len(r.Progress) > 0 {
		h.Fatalf("List has payloads: %+v", r)
	}
	full := normalInfo(h.load("a").RunInfo)
	full.Input, full.Result, full.Progress = nil, nil, nil
	want(h, normalInfo(r), full, "RunInfo in the list")
}

func listPrefix(h *harness) {
	ids := []string{"a%b", "a_b", "axb", `a\b`, "A%b", "日本", "日曜"}
	for _, id := range ids {
		h.start(id)
	}
	for _, prefix := range []string{"a", "a%", "a_", `a\`, "A", "日", "日本", "", "b"} {
		wanted := []string{}
		for _, id := range ids {
			if len(id) >= len(prefix) && id[:len(prefix)] == prefix {
				wanted = append(wanted, id+"#1")
			}
		}
		got := runIDs(h.list(lambdabiz.Filter{IDPrefix: prefix}))
		slices.Sort(got)
		slices.Sort(wanted)
		want(h, got, wanted, "list by prefix "+prefix)
	}
}

func (h *harness) purge(p lambdabiz.PurgeRequest) int {
	h.Helper()
	n, err := h.b.Purge(background, p)
	h.must(err, "Purge")
	return n
}

func purgeID(h *harness) {
	want(h, h.purge(lambdabiz.PurgeRequest{ID: "a"}), 0, "runs purged of an unknown id")
	x := h.startHeld("a")
	h.startHeld("b").end()
	h.must(h.raiseKey("a", "k"), "raise")
	x.end()
	want(h, h.purge(lambdabiz.PurgeRequest{ID: "a"}), 1, "runs purged")
	if h.describes.Retention == 0 {
		_, err := h.b.Load(background, "a", "")
		h.is(err, lambdabiz.ErrNotFound, "Load of a purged run")
		h.is(h.raiseKey("a", "k"), lambdabiz.ErrNotFound, "raise with a key of a purged run")
	}
	if !h.refuses(lambdabiz.FeatureList) {
		want(h, runIDs(h.list(lambdabiz.Filter{})), []string{"b#1"}, "runs in the list")
	}
	want(h, h.load("b").Status, lambdabiz.StatusSucceeded, "status of another run")
}

func purgeOpen(h *harness) {
	h.start("a")
	_, err := h.b.Purge(background, lambdabiz.PurgeRequest{ID: "a"})
	h.is(err, lambdabiz.ErrOpen, "Purge of an open run")
	want(h, h.purge(lambdabiz.PurgeRequest{}), 0, "runs purged while all are open")
	if h.refuses(lambdabiz.FeatureStartPolicy) {
		return
	}
	h.restart("a", 2)
	_, err = h.b.Purge(background, lambdabiz.PurgeRequest{ID: "a"})
	h.is(err, lambdabiz.ErrOpen, "Purge of an id with an open run")
	h.loadRun("a", "a#1")
	if !h.refuses(lambdabiz.FeatureEarlierRuns) {
		want(h, h.purge(lambdabiz.PurgeRequest{}), 1, "ended runs purged of any id")
	}
	want(h, h.load("a").RunID, "a#2", "the open run")
}

func purgeTime(h *harness) {
	for i := range 6 {
		x := h.startHeld(fmt.Sprint(i))
		x.commit(lambdabiz.Commit{At: at(100 + i), Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
	}
	want(h, h.purge(lambdabiz.PurgeRequest{EndedBefore: at(100).Add(-h.precision)}), 0, "runs that ended before the first end")
	want(h, h.purge(lambdabiz.PurgeRequest{EndedBefore: at(102).Add(-h.precision)}), 2, "runs that ended before the third end")
	want(h, len(h.list(lambdabiz.Filter{})), 4, "runs left")
	want(h, h.purge(lambdabiz.PurgeRequest{Limit: 3}), 3, "runs purged with a limit")
	want(h, h.purge(lambdabiz.PurgeRequest{Limit: 3}), 1, "runs purged at last")
	want(h, len(h.list(lambdabiz.Filter{AllRuns: true})), 0, "runs left at last")
}

func purgeFresh(h *harness) {
	x := h.startHeld("a")
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}, Progress: text("p")})
	h.raise("a", "left behind")
	x.end()
	h.purge(lambdabiz.PurgeRequest{ID: "a"})
	s := startOf("a", 1)
	s.Policy, s.Name = lambdabiz.RejectExisting, "another"
	h.startNew(s)
	r := h.load("a")
	want(h, len(r.Operations)+len(r.Messages)+len(r.Progress), 0, "what is left of the purged run")
	want(h, r.Status, lambdabiz.StatusScheduled, "status")
}

func purgeChain(h *harness) {
	x := h.startHeld("p")
	x.startChild("a", false).continueAsNew(2)
	h.purge(lambdabiz.PurgeRequest{})
	if h.describes.Retention == 0 {
		_, err := h.b.Load(background, "a", "a#1")
		h.is(err, lambdabiz.ErrNotFound, "Load of a purged run")
	}
	r := h.load("a")
	want(h, r.RunID, "a#2", "latest run")
	want(h, r.Previous, "a#1", "Previous, by which it is told from a stranger's")
	h.must(h.tryControl(x.childControl("a")), "control of the child by its parent")
	want(h, h.loadRun("a", "a#2").CancelRequested, true, "CancelRequested")
}
