package orders_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// own is what an orchestration tells of itself.
type own struct {
	ID      string
	Start   int    // the number of the start that it belongs to
	Event   string // what it has heard
	Refused bool   // its operation's id was refused
}

// ask is the input of an orchestration. Bytes survive JSON, whatever they are.
type ask struct {
	Start     int
	Operation []byte
}

var tellOwn = lambdabiz.Define("TellOwn", func(o lambdabiz.Context, in ask) (own, error) {
	me := own{ID: o.ID(), Start: in.Start}
	_, err := lambdabiz.Step(o, string(in.Operation), func(context.Context) (int, error) { return in.Start, nil })
	switch {
	case errors.Is(err, lambdabiz.ErrInvalidID), errors.Is(err, lambdabiz.ErrTooLarge):
		me.Refused = true
	case err != nil:
		return me, err
	}
	me.Event, err = lambdabiz.WaitForEvent[string](o, "told")
	return me, err
})

// legal is the rule of the documentation: 1 to 256 bytes of UTF-8 without control characters.
func legal(id string) bool {
	return len(id) > 0 && len(id) <= 256 && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

// hostile are pieces of ids that something on the way may take for something else.
var hostile = []string{
	"", "x", "X", " ", "\x00", "\x01", "\n", "\x7f", "\u0085", "/", "~", "~0", "~1", "a/b", "..", ".", "%", "_", "%2F", "\\",
	"'", "\"", "'; DROP TABLE runs; --", "é", "e\u0301", "ß", "ẞ", "İ", "😀", "\u202e", "\ufeff", "\u2028", "日本", "\xff", "\xc3",
	"\xed\xa0\x80", "\xf4\x90\x80\x80", "{}", "null", "*", "?", ";", "\t",
}

// someID is an id of any kind.
func someID(random *rand.Rand) string {
	switch random.IntN(6) {
	case 0: // near the limit
		unit := []string{"x", "é", "日", "😀"}[random.IntN(4)]
		bytes := []int{255, 256, 257, 1024}[random.IntN(4)]
		id := strings.Repeat(unit, bytes/len(unit))
		return id + strings.Repeat("-", bytes-len(id))
	case 1: // any bytes
		id := make([]byte, random.IntN(20))
		for i := range id {
			id[i] = byte(random.UintN(256))
		}
		return string(id)
	default:
		var b strings.Builder
		for range 1 + random.IntN(4) {
			b.WriteString(hostile[random.IntN(len(hostile))])
		}
		return b.String()
	}
}

// neighbour is an id that a careless store may take for the same.
func neighbour(random *rand.Rand, id string) string {
	near := []string{
		strings.ToUpper(id), strings.ToLower(id), id + " ", " " + id, id + "/", id + "\x00", id + ".", strings.ReplaceAll(id, "/", "~1"),
		strings.ReplaceAll(id, "e\u0301", "é"), id + "%", id + "\xff",
	}
	return near[random.IntN(len(near))]
}

// life is one id through starts, ends and purges.
type life struct {
	s      *stage
	e      *lambdabiz.Engine
	id     string
	op     string // the id of its operation
	counts *tally
}

// refused checks that no call takes the id.
func (l *life) refused() {
	s, ctx := l.s, l.s.ctx
	_, started := lambdabiz.Start(ctx, l.e, tellOwn, l.id, ask{})
	_, loaded := l.e.State(ctx, l.id)
	for doing, err := range map[string]error{
		"start": started, "state": loaded, "cancel": l.e.Cancel(ctx, l.id, ""), "purge": l.e.Purge(ctx, l.id),
		"raise":           l.e.RaiseEvent(ctx, l.id, "told", ""),
		"raise for later": l.e.RaiseEvent(ctx, l.id, "told", "", lambdabiz.BeforeStart(time.Hour)),
		"raise a name":    l.e.RaiseEvent(ctx, "somebody", l.id, "", lambdabiz.BeforeStart(time.Hour)),
	} {
		if !errors.Is(err, lambdabiz.ErrInvalidID) && !errors.Is(err, lambdabiz.ErrTooLarge) {
			s.complainf("%s with the id %q gave %v", doing, l.id, err)
		}
	}
	l.counts.add("refused", 1)
}

// live starts the id, ends it, starts it again, purges it and starts it again.
func (l *life) live() {
	first := l.round(1)
	if again := begin(l.s, l.e, tellOwn, l.id, ask{Start: 2}); again.RunID() != first || result(l.s, again).Start != 1 {
		l.s.complainf("%q: a start of a used id is run %s, not %s", l.id, again.RunID(), first)
	}
	if err := l.e.RaiseEvent(l.s.ctx, l.id, "told", "late", lambdabiz.Key("k")); err != nil {
		l.s.complainf("%q: a known key was answered with %v after the end", l.id, err)
	}
	second := l.round(3)
	l.counts.add("used again", 1)
	if old, err := l.e.StateOf(l.s.ctx, l.id, first); !l.s.must(err, "state of the first run") || old.RunID != first {
		return
	}
	l.s.must(l.e.Purge(l.s.ctx, l.id), fmt.Sprintf("purge %q", l.id))
	for _, runID := range []string{"", first, second} {
		if _, err := l.e.StateOf(l.s.ctx, l.id, runID); !errors.Is(err, lambdabiz.ErrNotFound) {
			l.s.complainf("%q: after the purge the state of run %q gave %v", l.id, runID, err)
		}
	}
	if err := l.e.RaiseEvent(l.s.ctx, l.id, "told", "gone", lambdabiz.Key("k")); !errors.Is(err, lambdabiz.ErrNotFound) {
		l.s.complainf("%q: after the purge a known key gave %v", l.id, err)
	}
	l.round(5)
	l.counts.add("purged", 1)
}

// round is one run of the id, which must know nothing of those before it. It returns the run's id.
func (l *life) round(n int) string {
	s := l.s
	run := begin(s, l.e, tellOwn, l.id, ask{n, []byte(l.op)}, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	state, err := l.e.State(s.ctx, l.id)
	if s.must(err, "state") && (state.ID != l.id || len(state.Events) > 0 || state.RunID != run.RunID()) {
		s.complainf("%q: start %d has the state of %q, with %d events", l.id, n, state.ID, len(state.Events))
	}
	told := fmt.Sprint("event of start ", n)
	s.must(l.e.RaiseEvent(s.ctx, l.id, "told", told, lambdabiz.Key("k")), "raise")
	want := own{ID: l.id, Start: n, Event: told, Refused: !legal(l.op)}
	if got := result(s, run); got != want {
		s.complainf("%q: start %d gave %+v, want %+v", l.id, n, got, want)
	}
	rec, ok := s.load(l.id)
	if !ok {
		return run.RunID()
	}
	// Within a path "~" and "/" of an id are escaped as in RFC 6901.
	path := strings.ReplaceAll(strings.ReplaceAll(l.op, "~", "~0"), "/", "~1")
	operations := map[bool]int{true: 2, false: 1}[legal(l.op)]
	if o := find(rec, path); len(rec.Operations) != operations || legal(l.op) && (o == nil || string(o.Result) != fmt.Sprint(n)) {
		s.complainf("%q: operation %q of start %d is %+v in %d", l.id, l.op, n, o, len(rec.Operations))
	}
	page, err := l.e.List(s.ctx, lambdabiz.Filter{IDPrefix: l.id, Limit: 1000})
	if s.must(err, "list") && !slices.ContainsFunc(page.Runs, func(r lambdabiz.RunInfo) bool { return r.ID == l.id }) ||
		slices.ContainsFunc(page.Runs, func(r lambdabiz.RunInfo) bool { return !strings.HasPrefix(r.ID, l.id) }) {
		s.complainf("%q is not listed by its id, or others are", l.id)
	}
	return run.RunID()
}

// lives plays ids side by side on one store.
func lives(
	t *testing.T, h home, random *rand.Rand, n int, counts *tally, seenAs func(lambdabiz.Backend) lambdabiz.Backend,
) string {
	t.Helper()
	return h.perform(t, func(s *stage) {
		seen := seenAs(s.store)
		e := s.engine(seen, lambdabiz.Config{PollInterval: 10 * time.Millisecond}, tellOwn)
		used := map[string]bool{}
		var all sync.WaitGroup
		for len(used) < n {
			id := someID(random)
			for range 2 { // and one that is like it
				l := &life{s: s, e: e, id: id, op: someID(random), counts: counts}
				if id = neighbour(random, id); used[l.id] || l.op == "told" {
					continue
				}
				used[l.id] = true
				if !legal(l.id) {
					all.Go(l.refused)
					continue
				}
				all.Go(l.live)
			}
		}
		s.comeAndGo(seen, random, counts, 2, tellOwn)
		all.Wait()
		s.stop()
		for _, rec := range s.records() {
			var me own
			if s.must(json.Unmarshal(rec.Result, &me), "read a result") && (me.ID != rec.ID || !used[rec.ID] || !legal(rec.ID)) {
				s.complainf("the run of %q has the result of %q", rec.ID, me.ID)
			}
		}
	})
}

// F10: hostile ids are refused or come back as they are, and an id that is used again, after the end or after
// a purge, knows nothing of its former runs.
func TestIDsAreUsedAgain(t *testing.T) {
	t.Parallel()
	const together = 25
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 8, 10_000/together)
	var counts tally
	must := func() []campaign.Count {
		return counts.list("refused", "used again", "purged", "stops", "kills")
	}
	for round := range campaign.More(rounds, must) {
		random := campaign.Random(seed, round)
		if complaint := lives(t, homes[round%len(homes)], random, together, &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F10", must(),
		campaign.Count{What: "ids", N: rounds * together})
}

// neverPurged says of ended runs that they were removed.
func neverPurged(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, purge: func(context.Context, lambdabiz.PurgeRequest) (int, error) { return 1, nil }}
}

// folded takes ids that differ in case only for the same.
func folded(b lambdabiz.Backend) lambdabiz.Backend {
	lower := eachCommit(b, func(c *lambdabiz.Commit) {
		c.Starts, c.Raises = slices.Clone(c.Starts), slices.Clone(c.Raises)
		for i := range c.Starts {
			c.Starts[i].ID = strings.ToLower(c.Starts[i].ID)
		}
		for i := range c.Raises {
			c.Raises[i].ID = strings.ToLower(c.Raises[i].ID)
		}
	})
	return &between{Backend: lower, load: func(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
		return b.Load(ctx, strings.ToLower(id), runID)
	}}
}

// keysForGood gives the next run of an id the keys of the one before.
func keysForGood(b lambdabiz.Backend) lambdabiz.Backend {
	var mu sync.Mutex
	known := map[string]bool{}
	return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		if len(batch) == 1 && len(batch[0].Raises) == 1 {
			r := batch[0].Raises[0]
			mu.Lock()
			seen := known[r.ID+"\x00"+r.Key]
			known[r.ID+"\x00"+r.Key] = true
			mu.Unlock()
			if seen {
				return []lambdabiz.Verdict{{Raises: []lambdabiz.RaiseVerdict{{}}}}, nil
			}
		}
		return b.Commit(ctx, batch)
	}}
}

func TestSabotageIDs(t *testing.T) {
	t.Parallel()
	for protection, remove := range map[string]func(lambdabiz.Backend) lambdabiz.Backend{
		"the purge":                neverPurged,
		"ids as they are":          folded,
		"keys that end with a run": keysForGood,
	} {
		t.Run(protection, func(t *testing.T) {
			t.Parallel()
			seed := campaign.Seed(t)
			campaign.Red(t, "F10", protection, campaign.UntilRed(func(round int) string {
				return lives(t, homes[0], campaign.Random(seed, round), 25, &tally{}, remove)
			}))
		})
	}
}
