package storetest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/storetest"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const tooLarge = 1 << 20

// sabotaged is a good store with one rule broken. A nil function changes nothing.
type sabotaged struct {
	lambdabiz.Store
	put     func(ctx context.Context, s *lambdabiz.Snapshot) error // instead of the store's
	reserve func(ctx context.Context, s *lambdabiz.Snapshot, replaces string) error
	got     func(s *lambdabiz.Snapshot)
	filter  func(f *lambdabiz.Filter)
	page    func(p *lambdabiz.Page, f lambdabiz.Filter)
	keep    func(e *lambdabiz.KeptEvent)
	kept    func(events []lambdabiz.KeptEvent) []lambdabiz.KeptEvent
	now     func(now time.Time) time.Time
	drop    func(keys []string) []string
	remove  func(ctx context.Context, id, runID string) error
	reads   chan struct{} // receives after each Get, if somebody waits for it
}

// limited is a store in memory that refuses what is too large, as most stores must.
type limited struct{ *memory.Store }

func (l limited) check(s *lambdabiz.Snapshot) error {
	large := func(what string, payloads ...lambdabiz.Payload) error {
		for _, p := range payloads {
			if len(p) >= tooLarge {
				return fmt.Errorf("%s: %w", what, lambdabiz.ErrTooLarge)
			}
		}
		return nil
	}
	for _, o := range s.Operations {
		if err := large(o.ID, o.Input, o.Result, o.Details); err != nil {
			return err
		}
	}
	for _, m := range s.Messages {
		if err := large(m.Name, m.Payload); err != nil {
			return err
		}
	}
	return large("run", s.Input, s.Result, s.Progress)
}

func (l limited) Put(ctx context.Context, s *lambdabiz.Snapshot) error {
	if err := l.check(s); err != nil {
		return err
	}
	return l.Store.Put(ctx, s)
}

func (l limited) Reserve(ctx context.Context, s *lambdabiz.Snapshot, replaces string) error {
	if err := l.check(s); err != nil {
		return err
	}
	return l.Store.Reserve(ctx, s, replaces)
}

func (l limited) Keep(ctx context.Context, id string, e lambdabiz.KeptEvent) error {
	if len(e.Payload) >= tooLarge {
		return fmt.Errorf("%s: %w", e.Name, lambdabiz.ErrTooLarge)
	}
	return l.Store.Keep(ctx, id, e)
}

func (s *sabotaged) Put(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
	if s.put != nil {
		return s.put(ctx, snapshot)
	}
	return s.Store.Put(ctx, snapshot)
}

func (s *sabotaged) Reserve(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
	if s.reserve != nil {
		return s.reserve(ctx, snapshot, replaces)
	}
	return s.Store.Reserve(ctx, snapshot, replaces)
}

func (s *sabotaged) Get(ctx context.Context, id string) (*lambdabiz.Snapshot, error) {
	snapshot, err := s.Store.Get(ctx, id)
	if err == nil && s.got != nil {
		s.got(snapshot)
	}
	select {
	case s.reads <- struct{}{}:
	default:
	}
	return snapshot, err
}

func (s *sabotaged) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	changed := f
	if s.filter != nil {
		s.filter(&changed)
	}
	page, err := s.Store.List(ctx, changed)
	if s.page != nil {
		s.page(&page, f)
	}
	return page, err
}

func (s *sabotaged) Keep(ctx context.Context, id string, e lambdabiz.KeptEvent) error {
	if s.keep != nil {
		s.keep(&e)
	}
	return s.Store.Keep(ctx, id, e)
}

func (s *sabotaged) Kept(ctx context.Context, id string, now time.Time) ([]lambdabiz.KeptEvent, error) {
	if s.now != nil {
		now = s.now(now)
	}
	events, err := s.Store.Kept(ctx, id, now)
	if s.kept != nil {
		events = s.kept(events)
	}
	return events, err
}

func (s *sabotaged) Drop(ctx context.Context, id string, keys []string) error {
	if s.drop != nil {
		keys = s.drop(keys)
	}
	return s.Store.Drop(ctx, id, keys)
}

func (s *sabotaged) Delete(ctx context.Context, id, runID string) error {
	if s.remove != nil {
		return s.remove(ctx, id, runID)
	}
	return s.Store.Delete(ctx, id, runID)
}

// force writes a snapshot over whatever is there.
func force(ctx context.Context, store lambdabiz.Store, s *lambdabiz.Snapshot) error {
	old, err := store.Get(ctx, s.ID)
	if err == nil {
		if err := store.Delete(ctx, s.ID, old.RunID); err != nil {
			return err
		}
		kept := *s
		kept.Operations = slices.Clone(s.Operations)
		for _, o := range old.Operations {
			same := func(x lambdabiz.Operation) bool { return x.ID == o.ID }
			if old.RunID == s.RunID && !slices.ContainsFunc(s.Operations, same) {
				kept.Operations = append(kept.Operations, o)
			}
		}
		s = &kept
	}
	return store.Put(ctx, s)
}

// changing puts a changed copy of each snapshot.
func changing(s *sabotaged, change func(s *lambdabiz.Snapshot)) func(context.Context, *lambdabiz.Snapshot) error {
	return func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
		own := *snapshot
		own.Operations, own.Messages = slices.Clone(snapshot.Operations), slices.Clone(snapshot.Messages)
		change(&own)
		return s.Store.Put(ctx, &own)
	}
}

// sabotages are the rules, each broken, with a check of the suite that must notice it.
var sabotages = []struct {
	name  string
	check string
	make  func(s *sabotaged)
}{
	{"versions are not looked at", "version/an older one stays out", func(s *sabotaged) {
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error { return force(ctx, s.Store, snapshot) }
	}},
	{"the same version replaces", "version/the same one stays", func(s *sabotaged) {
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			if old, err := s.Store.Get(ctx, snapshot.ID); err == nil && old.Version.Compare(snapshot.Version) == 0 {
				return force(ctx, s.Store, snapshot)
			}
			return s.Store.Put(ctx, snapshot)
		}
	}},
	{"an older run keeps its operations out", "version/each item for itself", func(s *sabotaged) {
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			if old, err := s.Store.Get(ctx, snapshot.ID); err == nil && old.Version.Compare(snapshot.Version) > 0 {
				return nil
			}
			return s.Store.Put(ctx, snapshot)
		}
	}},
	{"a start counts less than an event", "version/a later start beats any event", func(s *sabotaged) {
		s.put = changing(s, func(s *lambdabiz.Snapshot) { s.Version.Start = time.Unix(0, 0) })
	}},
	{"the run is written first", "concurrent/a run never says more than its operations", func(s *sabotaged) {
		s.reads = make(chan struct{})
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			run := *snapshot
			run.Operations = nil
			if err := s.Store.Put(ctx, &run); err != nil {
				return err
			}
			if snapshot.Version.Event > 0 {
				<-s.reads
			}
			return s.Store.Put(ctx, snapshot)
		}
	}},
	{"old operations go", "put/operations that have not changed stay", func(s *sabotaged) {
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			if old, err := s.Store.Get(ctx, snapshot.ID); err == nil && old.Version.Compare(snapshot.Version) < 0 {
				if err := s.Store.Delete(ctx, snapshot.ID, old.RunID); err != nil {
					return err
				}
			}
			return s.Store.Put(ctx, snapshot)
		}
	}},
	{"operations of all runs are seen", "version/operations of an earlier run are not seen", func(s *sabotaged) {
		var mu sync.Mutex
		all := map[string]lambdabiz.Operation{}
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			mu.Lock()
			for _, o := range snapshot.Operations {
				all[o.ID] = o
			}
			mu.Unlock()
			return s.Store.Put(ctx, snapshot)
		}
		s.got = func(snapshot *lambdabiz.Snapshot) {
			mu.Lock()
			defer mu.Unlock()
			snapshot.Operations = nil
			for _, o := range all {
				snapshot.Operations = append(snapshot.Operations, o)
			}
		}
	}},
	{"operations come in another order", "put/operations come in the order of their numbers", func(s *sabotaged) {
		s.got = func(snapshot *lambdabiz.Snapshot) { slices.Reverse(snapshot.Operations) }
	}},
	{"a field is forgotten", "field/every field of a run, its operations and messages is kept", func(s *sabotaged) {
		s.got = func(snapshot *lambdabiz.Snapshot) { snapshot.BackendRunID = "" }
	}},
	{"a field of an operation is forgotten", "field/every field of a run, its operations and messages is kept", func(s *sabotaged) {
		s.put = changing(s, func(s *lambdabiz.Snapshot) {
			for i := range s.Operations {
				s.Operations[i].ExpiresAt = time.Time{}
			}
		})
	}},
	{"empty payloads become nil", "field/nil and empty payloads differ", func(s *sabotaged) {
		s.put = changing(s, func(s *lambdabiz.Snapshot) {
			for i := range s.Operations {
				if len(s.Operations[i].Details) == 0 {
					s.Operations[i].Details = nil
				}
			}
		})
	}},
	{"payloads are trimmed as JSON", "field/payloads are bytes", func(s *sabotaged) {
		s.put = changing(s, func(s *lambdabiz.Snapshot) {
			s.Input = lambdabiz.Payload(string([]rune(string(s.Input)))) // what is no UTF-8 is lost
		})
	}},
	{"times lose their fractions", "field/times are UTC with microseconds", func(s *sabotaged) {
		s.put = changing(s, func(s *lambdabiz.Snapshot) { s.SavedAt = s.SavedAt.Truncate(time.Millisecond) })
	}},
	{"messages are added up", "put/messages are replaced as a whole", func(s *sabotaged) {
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			if old, err := s.Store.Get(ctx, snapshot.ID); err == nil {
				own := *snapshot
				own.Messages = append(old.Messages, snapshot.Messages...)
				snapshot = &own
			}
			return s.Store.Put(ctx, snapshot)
		}
	}},
	{"a part is written before the refusal", "refuse/an operation that is too large is named, and nothing is written",
		func(s *sabotaged) {
			s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
				for _, o := range snapshot.Operations {
					own := *snapshot
					own.Operations = []lambdabiz.Operation{o}
					if err := s.Store.Put(ctx, &own); err != nil {
						return err
					}
				}
				return nil
			}
		}},
	{"a refusal names nothing", "refuse/an operation that is too large is named, and nothing is written", func(s *sabotaged) {
		s.put = func(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
			if s.Store.Put(ctx, snapshot) != nil {
				return lambdabiz.ErrTooLarge
			}
			return nil
		}
	}},
	{"a reservation is no condition", "reserve/any other run is ErrStale, and nothing is written", func(s *sabotaged) {
		s.reserve = func(ctx context.Context, snapshot *lambdabiz.Snapshot, _ string) error {
			return s.Store.Put(ctx, snapshot)
		}
	}},
	{"a reservation looks, then writes", "reserve/one of many wins", func(s *sabotaged) {
		s.reserve = lookThenWrite(s, 16)
	}},
	{"a reservation does not know itself", "reserve/its own run come twice is no error, and writes nothing", func(s *sabotaged) {
		s.reserve = func(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
			if old, err := s.Store.Get(ctx, snapshot.ID); err == nil && old.RunID == snapshot.RunID {
				return lambdabiz.ErrStale
			}
			return s.Store.Reserve(ctx, snapshot, replaces)
		}
	}},
	{"a reservation goes back", "reserve/a version that is not newer is ErrStale", func(s *sabotaged) {
		s.reserve = func(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
			if old, err := s.Store.Get(ctx, snapshot.ID); err == nil && old.RunID == replaces {
				return force(ctx, s.Store, snapshot)
			}
			return s.Store.Reserve(ctx, snapshot, replaces)
		}
	}},
	{"a filter is ignored", "list/filters", func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.Paused = false }
	}},
	{"ended runs are blocked", "list/filters", func(s *sabotaged) {
		s.page = func(p *lambdabiz.Page, f lambdabiz.Filter) {
			if f.Blocked && f.Paused {
				p.Runs = append(p.Runs, lambdabiz.RunInfo{ID: "bill-3"})
			}
		}
	}},
	{"a bound is not exact", "list/times are exact", func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.ScheduledBefore = f.ScheduledBefore.Add(time.Microsecond) }
	}},
	{"a page is repeated", "list/pages have every run once", func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.Cursor = "" }
	}},
	{"the last page is not known", "list/pages have every run once", func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.Limit = max(f.Limit, 24) }
	}},
	{"a list has another order", "list/newest start first", func(s *sabotaged) {
		s.page = func(p *lambdabiz.Page, _ lambdabiz.Filter) { slices.Reverse(p.Runs) }
	}},
	{"a list has payloads", "list/leaves payloads out", func(s *sabotaged) {
		s.page = func(p *lambdabiz.Page, _ lambdabiz.Filter) {
			for i := range p.Runs {
				p.Runs[i].Input = lambdabiz.Payload("1")
			}
		}
	}},
	{"a page has no end", "list/a page has 100 runs, and 1,000 at most", func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) {
			if f.Limit <= 0 {
				f.Limit = 1000
			}
		}
	}},
	{"any cursor will do", "list/a cursor that is none is an error", func(s *sabotaged) {
		s.filter = func(f *lambdabiz.Filter) { f.Cursor = "" }
	}},
	{"kept events come by key", "keep/events come in the order in which they were kept", func(s *sabotaged) {
		s.kept = func(events []lambdabiz.KeptEvent) []lambdabiz.KeptEvent {
			slices.SortFunc(events, func(x, y lambdabiz.KeptEvent) int { return slices.Compare([]byte(x.Key), []byte(y.Key)) })
			return events
		}
	}},
	{"events come by their senders' clocks", "keep/events come in the order in which they were kept", func(s *sabotaged) {
		s.kept = func(events []lambdabiz.KeptEvent) []lambdabiz.KeptEvent {
			slices.SortStableFunc(events, func(x, y lambdabiz.KeptEvent) int { return x.ArrivedAt.Compare(y.ArrivedAt) })
			return events
		}
	}},
	{"a key is kept twice", "keep/one with the same key stays", func(s *sabotaged) {
		next := 0
		s.keep = func(e *lambdabiz.KeptEvent) { next++; e.Key += fmt.Sprint(next) }
		s.kept = func(events []lambdabiz.KeptEvent) []lambdabiz.KeptEvent {
			for i := range events {
				events[i].Key = events[i].Key[:1]
			}
			return events
		}
	}},
	{"events do not expire", "keep/until its time is over", func(s *sabotaged) {
		s.now = func(time.Time) time.Time { return time.Time{} }
	}},
	{"an expired event blocks its key", "keep/a key is free again when its time is over", func(s *sabotaged) {
		s.keep = func(e *lambdabiz.KeptEvent) { e.ArrivedAt = e.ArrivedAt.Add(-time.Minute) }
	}},
	{"Drop drops the first only", "keep/Drop removes by key", func(s *sabotaged) {
		s.drop = func(keys []string) []string { return keys[:min(1, len(keys))] }
	}},
	{"Delete does not look at the run", "delete/leaves any other run and id", func(s *sabotaged) {
		s.remove = func(ctx context.Context, id, _ string) error {
			old, err := s.Store.Get(ctx, id)
			if err != nil {
				return nil
			}
			return s.Store.Delete(ctx, id, old.RunID)
		}
	}},
	{"Delete removes nothing", "delete/removes the run and its operations", func(s *sabotaged) {
		s.remove = func(context.Context, string, string) error { return nil }
	}},
}

// lookThenWrite reserves in two steps: all callers look before any of them writes.
func lookThenWrite(s *sabotaged, callers int) func(context.Context, *lambdabiz.Snapshot, string) error {
	var mu sync.Mutex
	looked, all := 0, make(chan struct{})
	return func(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
		old, err := s.Store.Get(ctx, snapshot.ID)
		if err != nil && replaces != "" || err == nil && old.RunID != replaces {
			return lambdabiz.ErrStale
		}
		mu.Lock()
		if looked++; looked == callers {
			close(all)
		}
		mu.Unlock()
		<-all
		return s.Store.Put(ctx, snapshot)
	}
}

func sound() lambdabiz.Store { return limited{memory.NewStore()} }

func TestSabotage(t *testing.T) {
	t.Parallel()
	if failing := storetest.Failing(sound, tooLarge, ""); len(failing) > 0 {
		t.Fatalf("checks fail without sabotage: %v", failing)
	}
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(storetest.Names(), s.check) {
				t.Fatalf("there is no check %q", s.check)
			}
			broken := func() lambdabiz.Store {
				b := &sabotaged{Store: sound()}
				s.make(b)
				return b
			}
			check := func(int) string { return strings.Join(storetest.Failing(broken, tooLarge, s.check)[s.check], "; ") }
			complaint := check(0)
			if complaint == "" && strings.HasPrefix(s.check, "concurrent/") { // who meets whom is up to the scheduler
				complaint = campaign.UntilRed(check)
			}
			campaign.Red(t, "suite", fmt.Sprintf("the rule against %q", s.name), complaint)
		})
	}
}
