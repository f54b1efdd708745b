package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var listChecks = []check{
	{name: "list/newest start first", run: listOrder},
	{name: "list/over months and years", run: listMonths},
	{name: "list/pages have every run once", run: listPages},
	{name: "list/a page is stable while runs start and change", run: listStable},
	{name: "list/filters", run: listFilters},
	{name: "list/times are exact", run: listTimes},
	{name: "list/a run that changes is listed once", run: listChanges},
	{name: "list/only the latest run", run: listLatest},
	{name: "list/leaves payloads out", run: listPayloads},
	{name: "list/a prefix is not a pattern", run: listPrefix},
	{name: "list/a rare run among many", run: listRare},
	{name: "list/a page has 100 runs, and 1,000 at most", run: listLimits},
	{name: "list/a cursor that is none is an error", run: listCursor},
}

var everyStatus = []lambdabiz.Status{
	lambdabiz.StatusScheduled, lambdabiz.StatusStarted, lambdabiz.StatusSucceeded, lambdabiz.StatusFailed,
	lambdabiz.StatusTimeout, lambdabiz.StatusCancelled, lambdabiz.StatusTerminated,
}

// inStatus is a run with a status.
func inStatus(s *lambdabiz.Snapshot, status lambdabiz.Status) *lambdabiz.Snapshot {
	if status.Ended() {
		return ended(s, status)
	}
	s.Status = status
	return s
}

func listOrder(h *harness) {
	h.listed(lambdabiz.Filter{}, "an empty store")
	numbers := []int{10, 3, 50, 2, 41, 100, 7}
	wanted := []string{}
	for i, n := range numbers {
		h.put(inStatus(runOf(fmt.Sprintf("id-%d", i), n, 1), everyStatus[i]))
	}
	slices.Sort(numbers)
	for _, r := range h.list(lambdabiz.Filter{}) {
		wanted = append(wanted, r.ScheduledAt.Format(time.RFC3339))
	}
	slices.Reverse(numbers)
	for i, n := range numbers {
		want(h, wanted[i], at(n).Format(time.RFC3339), "start of a run in its place")
	}
}

// spread is starts from 2030 to 2032, newest last.
func spread() []time.Time {
	return []time.Time{
		time.Date(2030, time.January, 31, 23, 59, 59, 999999000, time.UTC), time.Date(2030, time.February, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2030, time.December, 31, 23, 59, 59, 0, time.UTC), time.Date(2031, time.January, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2031, time.June, 15, 12, 0, 0, 0, time.UTC), time.Date(2032, time.February, 29, 1, 2, 3, 0, time.UTC),
	}
}

func (h *harness) putSpread() {
	h.Helper()
	for i, start := range spread() {
		for j, status := range []lambdabiz.Status{lambdabiz.StatusStarted, lambdabiz.StatusSucceeded, lambdabiz.StatusFailed} {
			s := inStatus(runOf(fmt.Sprintf("%d-%d", i, j), 1, 1), status)
			s.ScheduledAt = start.Add(time.Duration(j) * time.Microsecond)
			h.put(s)
		}
	}
}

func listMonths(h *harness) {
	h.putSpread()
	runs := h.list(lambdabiz.Filter{})
	want(h, len(runs), 18, "runs")
	if !slices.IsSortedFunc(runs, func(x, y lambdabiz.RunInfo) int { return y.ScheduledAt.Compare(x.ScheduledAt) }) {
		h.Fatalf("List is not newest first: %v", runIDs(runs))
	}
	whole := runIDs(runs)
	for _, limit := range []int{1, 2, 5, 17} {
		h.listed(lambdabiz.Filter{Limit: limit}, "pages over years", whole...)
	}
	h.listed(lambdabiz.Filter{
		Status:         []lambdabiz.Status{lambdabiz.StatusSucceeded},
		ScheduledAfter: spread()[2], ScheduledBefore: spread()[5],
	}, "a status in a time", "4-1#1", "3-1#1", "2-1#1")
	h.listed(lambdabiz.Filter{
		Status:         []lambdabiz.Status{lambdabiz.StatusSucceeded, lambdabiz.StatusFailed},
		ScheduledAfter: spread()[5].AddDate(0, 1, 0),
	}, "a time without runs")
	h.listed(lambdabiz.Filter{ScheduledBefore: spread()[0]}, "before all runs")
}

func listPages(h *harness) {
	const runs = 23
	for i := range runs {
		h.put(inStatus(runOf(fmt.Sprintf("id-%d", i), 1+i/4, 1), everyStatus[i%len(everyStatus)])) // several of the same time
	}
	whole := runIDs(h.list(lambdabiz.Filter{}))
	want(h, len(whole), runs, "runs in one page")
	for _, limit := range []int{1, 5, 22, 23, 24} {
		page, err := h.s.List(background, lambdabiz.Filter{Limit: limit})
		h.must(err, "List")
		want(h, len(page.Runs), min(limit, runs), "runs in a page")
		want(h, page.Next == "", limit >= runs, "no further page")
		h.listed(lambdabiz.Filter{Limit: limit}, "pages", whole...)
	}
}

func listStable(h *harness) {
	for i := range 9 {
		h.put(runOf(fmt.Sprint(i), i+1, 1))
	}
	first, err := h.s.List(background, lambdabiz.Filter{Limit: 4})
	h.must(err, "List")
	want(h, runIDs(first.Runs), []string{"8#9", "7#8", "6#7", "5#6"}, "first page")
	h.put(runOf("new", 100, 1))
	h.put(ended(runOf("1", 2, 9), lambdabiz.StatusSucceeded))
	h.put(ended(runOf("6", 7, 9), lambdabiz.StatusFailed))
	h.must(h.s.Delete(background, "5", "5#6"), "Delete of the run where the page ended")
	rest := []string{}
	f := lambdabiz.Filter{Limit: 4, Cursor: first.Next}
	for f.Cursor != "" {
		page, err := h.other.List(background, f)
		h.must(err, "List by another handle")
		rest = append(rest, runIDs(page.Runs)...)
		f.Cursor = page.Next
	}
	want(h, rest, []string{"4#5", "3#4", "2#3", "1#2", "0#1"}, "further pages")
}

func listFilters(h *harness) {
	for i, id := range []string{"order-1", "order-2", "Order-3", "bill-1", "bill-2", "bill-3"} {
		s := runOf(id, i, 1)
		s.Name = id[:len(id)-2]
		s.Tags = map[string]string{"even": fmt.Sprint(i%2 == 0), "n": fmt.Sprint(i)}
		switch id {
		case "order-1":
			ended(s, lambdabiz.StatusTerminated)
		case "bill-1":
			s.Blocked = &lambdabiz.Blocked{Reason: "because", Since: at(1)}
		case "bill-2":
			s.Paused, s.Status = true, lambdabiz.StatusScheduled
		case "bill-3":
			s.Paused, s.Blocked = true, &lambdabiz.Blocked{Reason: "because", Since: at(1)}
			ended(s, lambdabiz.StatusSucceeded)
		}
		h.put(s)
	}
	open := []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}
	for _, x := range []struct {
		what   string
		filter lambdabiz.Filter
		want   []string
	}{
		{"name", lambdabiz.Filter{Name: "order"}, []string{"order-2", "order-1"}},
		{"no such name", lambdabiz.Filter{Name: "orde"}, nil},
		{"prefix", lambdabiz.Filter{IDPrefix: "order-"}, []string{"order-2", "order-1"}},
		{"open", lambdabiz.Filter{Status: open}, []string{"bill-2", "bill-1", "Order-3", "order-2"}},
		{"scheduled", lambdabiz.Filter{Status: open[:1]}, []string{"bill-2"}},
		{"ended", lambdabiz.Filter{Status: everyStatus[2:]}, []string{"bill-3", "order-1"}},
		{"open and ended", lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusTerminated, lambdabiz.StatusScheduled}},
			[]string{"bill-2", "order-1"}},
		{"a status twice", lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusTerminated, lambdabiz.StatusTerminated}},
			[]string{"order-1"}},
		{"no such status", lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusTimeout}}, nil},
		{"tag", lambdabiz.Filter{Tags: map[string]string{"even": "true"}}, []string{"bill-2", "Order-3", "order-1"}},
		{"tags", lambdabiz.Filter{Tags: map[string]string{"even": "true", "n": "2"}}, []string{"Order-3"}},
		{"no such tag", lambdabiz.Filter{Tags: map[string]string{"x": ""}}, nil},
		{"after", lambdabiz.Filter{ScheduledAfter: at(4)}, []string{"bill-3", "bill-2"}},
		{"before", lambdabiz.Filter{ScheduledBefore: at(2)}, []string{"order-2", "order-1"}},
		{"all", lambdabiz.Filter{
			Name: "order", IDPrefix: "order-2", Status: open, Tags: map[string]string{"n": "1"},
			ScheduledAfter: at(1), ScheduledBefore: at(2),
		}, []string{"order-2"}},
		{"blocked", lambdabiz.Filter{Blocked: true}, []string{"bill-1"}},
		{"paused", lambdabiz.Filter{Paused: true}, []string{"bill-2"}},
		{"blocked and paused", lambdabiz.Filter{Blocked: true, Paused: true}, nil},
		{"blocked and ended", lambdabiz.Filter{Blocked: true, Status: everyStatus[2:]}, nil},
		{"all runs", lambdabiz.Filter{AllRuns: true, Name: "order"}, []string{"order-2", "order-1"}},
	} {
		for _, limit := range []int{0, 1} {
			x.filter.Limit = limit
			got := []string{}
			for _, r := range h.list(x.filter) {
				got = append(got, r.ID)
			}
			want(h, got, append([]string{}, x.want...), fmt.Sprintf("list by %s in pages of %d", x.what, limit))
		}
	}
}

func listTimes(h *harness) {
	for i, status := range []lambdabiz.Status{lambdabiz.StatusStarted, lambdabiz.StatusSucceeded} {
		for j := range 4 {
			s := inStatus(runOf(fmt.Sprintf("%d-%d", i, j), 1, 1), status)
			s.ScheduledAt = at(1).Add(time.Duration(j) * time.Microsecond)
			h.put(s)
		}
		for from := range 5 {
			for to := range 5 {
				wanted := []string{}
				for j := to - 1; j >= from; j-- {
					wanted = append(wanted, fmt.Sprintf("%d-%d#1", i, j))
				}
				h.listed(lambdabiz.Filter{
					Status:          []lambdabiz.Status{status},
					ScheduledAfter:  at(1).Add(time.Duration(from) * time.Microsecond),
					ScheduledBefore: at(1).Add(time.Duration(to) * time.Microsecond),
				}, fmt.Sprintf("%v from %d to before %d", status, from, to), wanted...)
			}
		}
	}
}

func listChanges(h *harness) {
	for i, status := range everyStatus {
		h.put(inStatus(runOf("a", 1, int64(i+1)), status))
		h.listed(lambdabiz.Filter{}, "all", "a#1")
		for _, other := range everyStatus {
			wanted := []string{}
			if other == status {
				wanted = append(wanted, "a#1")
			}
			h.listed(lambdabiz.Filter{Status: []lambdabiz.Status{other}}, other.String(), wanted...)
		}
	}
	h.put(inStatus(runOf("a", 1, 2), lambdabiz.StatusStarted))
	h.listed(lambdabiz.Filter{Status: everyStatus[:2]}, "open runs after an old write")
}

func listLatest(h *harness) {
	h.put(ended(runOf("a", 1, 1), lambdabiz.StatusSucceeded))
	h.put(runOf("a", 2, 1))
	h.put(ended(runOf("b", 1, 1), lambdabiz.StatusSucceeded))
	succeeded := lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}}
	h.listed(lambdabiz.Filter{}, "latest runs", "a#2", "b#1")
	h.listed(succeeded, "latest runs that have succeeded", "b#1")
	succeeded.AllRuns = true
	h.listed(succeeded, "all runs that have succeeded", "b#1")
	h.listed(lambdabiz.Filter{AllRuns: true}, "all runs", "a#2", "b#1")
}

func listPayloads(h *harness) {
	s := ended(runOf("a", 1, 1), lambdabiz.StatusSucceeded)
	s.Result = text("result")
	h.put(s)
	info := s.RunInfo
	info.Input, info.Result, info.Progress = nil, nil, nil
	want(h, h.list(lambdabiz.Filter{}), []lambdabiz.RunInfo{info}, "list")
}

func listPrefix(h *harness) {
	ids := []string{"a%b", "a_b", "axb", `a\b`, "A%b", "日本", "日曜"}
	for i, id := range ids {
		h.put(runOf(id, i, 1))
	}
	for _, prefix := range []string{"a", "a%", "a_", `a\`, "A", "日", "日本", "\xe6", "", "b", "a%bc"} {
		got := []string{}
		for _, r := range h.list(lambdabiz.Filter{IDPrefix: prefix}) {
			got = append(got, r.ID)
		}
		slices.Sort(got)
		wanted := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !strings.HasPrefix(id, prefix) })
		slices.Sort(wanted)
		want(h, append([]string{}, got...), append([]string{}, wanted...), "list by prefix "+prefix)
	}
}

func manyRuns(n int, change func(i int, s *lambdabiz.Snapshot)) []*lambdabiz.Snapshot {
	all := make([]*lambdabiz.Snapshot, n)
	for i := range all {
		all[i] = runOf(fmt.Sprintf("id-%d", i), i, 1)
		change(i, all[i])
	}
	return all
}

// listRare finds the few among so many that a store may have to give up on a page.
func listRare(h *harness) {
	const runs = 600
	h.putAll(manyRuns(runs, func(i int, s *lambdabiz.Snapshot) {
		inStatus(s, everyStatus[i%len(everyStatus)])
		if i%250 == 100 {
			s.Name = "Rare"
		}
	}))
	for _, limit := range []int{0, 1, 2, 7} {
		h.listed(lambdabiz.Filter{Name: "Rare", Limit: limit}, "rare runs", "id-350#350", "id-100#100")
	}
	h.listed(lambdabiz.Filter{IDPrefix: "id-599"}, "the newest run", "id-599#599")
	h.listed(lambdabiz.Filter{IDPrefix: "id-0"}, "the oldest run", "id-0#0")
}

func listLimits(h *harness) {
	const runs = 1005
	h.putAll(manyRuns(runs, func(int, *lambdabiz.Snapshot) {}))
	for _, x := range []struct{ limit, wanted int }{{0, 100}, {-1, 100}, {1, 1}, {999, 999}, {1000, 1000}, {1001, 1000}, {1 << 40, 1000}} {
		page, err := h.s.List(background, lambdabiz.Filter{Limit: x.limit})
		h.must(err, "List")
		want(h, len(page.Runs), x.wanted, fmt.Sprintf("runs in a page of %d", x.limit))
		want(h, page.Runs[0].ID, "id-1004", "first run")
	}
	seen := map[string]bool{}
	for _, id := range runIDs(h.list(lambdabiz.Filter{})) {
		if seen[id] {
			h.Fatalf("run %s is on two pages", id)
		}
		seen[id] = true
	}
	want(h, len(seen), runs, "runs in all pages")
}

func listCursor(h *harness) {
	h.put(runOf("a", 1, 1))
	for _, cursor := range []string{"nonsense", "!", "\x00", "2030"} {
		if page, err := h.s.List(background, lambdabiz.Filter{Cursor: cursor}); err == nil {
			h.Fatalf("List with cursor %q: %+v without an error", cursor, page)
		}
	}
}
