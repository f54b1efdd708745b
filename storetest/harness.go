package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// harness is a store with the calls that checks make again and again.
type harness struct {
	reporter
	s        lambdabiz.Store
	other    lambdabiz.Store // another handle of the same storage, or the same one
	tooLarge int
}

var (
	background = context.Background()
	epoch      = time.Date(2030, time.January, 2, 3, 4, 5, 678901000, time.UTC)
)

// at is a time some seconds after the beginning of every check.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func text(s string) lambdabiz.Payload { return lambdabiz.Payload(fmt.Sprintf("%q", s)) }

// runOf is a snapshot of a run of an id, with the operations given. Number tells the runs of an id apart, and is the
// second in which the run began; event says how much of the history was known. What it says can be told by
// its progress.
func runOf(id string, number int, event int64, operations ...lambdabiz.Operation) *lambdabiz.Snapshot {
	s := &lambdabiz.Snapshot{
		Version:      lambdabiz.SnapshotVersion{Start: at(number), Event: event},
		BackendRunID: fmt.Sprintf("home-%d", number), SavedAt: at(number).Add(time.Duration(event) * time.Millisecond),
	}
	s.ID, s.RunID, s.Name = id, fmt.Sprintf("%s#%d", id, number), "Order"
	s.Status = lambdabiz.StatusStarted
	s.ScheduledAt = at(number)
	s.Input = text("in")
	s.Progress = text(fmt.Sprintf("run %d, event %d", number, event))
	s.Operations = operations
	return s
}

// ended is a snapshot of a run that has ended.
func ended(s *lambdabiz.Snapshot, status lambdabiz.Status) *lambdabiz.Snapshot {
	s.Status, s.EndedAt = status, s.ScheduledAt.Add(time.Hour)
	return s
}

// operation is an operation whose result says what was written.
func operation(number int64, result string) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: number, ID: fmt.Sprintf("operation-%d", number), Kind: lambdabiz.KindTask, Name: "Sum",
		Status: lambdabiz.StatusSucceeded, Attempts: 1, Input: text("in"), Result: text(result), ScheduledAt: at(int(number)),
	}
}

// must ends the check when a call failed.
func (h *harness) must(err error, what string) {
	h.Helper()
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
}

// is expects an error of a kind; nil for none.
func (h *harness) is(got, want error, what string) {
	h.Helper()
	if !errors.Is(got, want) {
		h.Fatalf("%s: error %v, want %v", what, got, want)
	}
}

func want[T any](h *harness, got, wanted T, what string) {
	h.Helper()
	if !reflect.DeepEqual(got, wanted) {
		h.Fatalf("%s:\n got %+v\nwant %+v", what, got, wanted)
	}
}

func (h *harness) put(s *lambdabiz.Snapshot) {
	h.Helper()
	h.must(h.s.Put(background, s), "Put of "+s.RunID)
}

// putAll puts many snapshots, several at a time: their order is of no matter.
func (h *harness) putAll(snapshots []*lambdabiz.Snapshot) {
	h.Helper()
	errs := make([]error, len(snapshots))
	var group sync.WaitGroup
	places := make(chan int)
	for range 8 {
		group.Go(func() {
			for i := range places {
				errs[i] = h.s.Put(background, snapshots[i])
			}
		})
	}
	for i := range snapshots {
		places <- i
	}
	close(places)
	group.Wait()
	h.must(errors.Join(errs...), "Put of many")
}

func (h *harness) reserve(s *lambdabiz.Snapshot, replaces string) {
	h.Helper()
	h.must(h.s.Reserve(background, s, replaces), "Reserve of "+s.RunID)
}

func (h *harness) get(id string) *lambdabiz.Snapshot {
	h.Helper()
	return h.getFrom(h.s, id)
}

func (h *harness) getFrom(store lambdabiz.Store, id string) *lambdabiz.Snapshot {
	h.Helper()
	s, err := store.Get(background, id)
	h.must(err, "Get of "+id)
	if s == nil {
		h.Fatalf("Get of %s: nil without an error", id)
	}
	return s
}

// has expects what an id's run says and the results of its operations, in order.
func (h *harness) has(id string, number int, event int64, results ...string) {
	h.Helper()
	s := h.get(id)
	want(h, string(s.Progress), string(runOf(id, number, event).Progress), "progress of "+id)
	want(h, s.RunID, fmt.Sprintf("%s#%d", id, number), "run of "+id)
	got := []string{}
	for _, o := range s.Operations {
		got = append(got, string(o.Result))
	}
	wanted := []string{}
	for _, r := range results {
		wanted = append(wanted, string(text(r)))
	}
	want(h, got, wanted, "results of the operations of "+id)
}

func (h *harness) none(id string) {
	h.Helper()
	s, err := h.s.Get(background, id)
	h.is(err, lambdabiz.ErrNotFound, fmt.Sprintf("Get(%q): %+v", id, s))
}

// list returns all pages of a filter.
func (h *harness) list(f lambdabiz.Filter) []lambdabiz.RunInfo {
	h.Helper()
	var all []lambdabiz.RunInfo
	for range 1000 {
		page, err := h.s.List(background, f)
		h.must(err, "List")
		all = append(all, page.Runs...)
		if page.Next == "" {
			return all
		}
		f.Cursor = page.Next
	}
	h.Fatalf("List: more than 1000 pages")
	return nil
}

func runIDs(runs []lambdabiz.RunInfo) []string {
	out := []string{}
	for _, r := range runs {
		out = append(out, r.RunID)
	}
	return out
}

// listed expects the runs of a filter, in order.
func (h *harness) listed(f lambdabiz.Filter, what string, runs ...string) {
	h.Helper()
	if runs == nil {
		runs = []string{}
	}
	want(h, runIDs(h.list(f)), runs, "list of "+what)
}

func event(key string, second int) lambdabiz.KeptEvent {
	return lambdabiz.KeptEvent{Name: "Approve", Key: key, Payload: text(key), ArrivedAt: at(second), Until: at(second + 1000)}
}

func (h *harness) keep(id string, e lambdabiz.KeptEvent) {
	h.Helper()
	h.must(h.s.Keep(background, id, e), "Keep of "+e.Key)
}

// kept expects the keys of the events that are kept, in order.
func (h *harness) kept(id string, second int, keys ...string) {
	h.Helper()
	events, err := h.s.Kept(background, id, at(second))
	h.must(err, "Kept")
	got := []string{}
	for _, e := range events {
		got = append(got, e.Key)
	}
	if keys == nil {
		keys = []string{}
	}
	want(h, got, keys, "keys of the events kept for "+id)
}
