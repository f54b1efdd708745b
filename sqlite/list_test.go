package sqlite_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		b.now = b.now.Add(time.Minute)
		tags := map[string]string{"n": fmt.Sprint(i % 2), `k"<`: "v' OR 1=1 --"}
		b.startAs(lambdabiz.RunStart{
			ID: fmt.Sprintf("order-%d", i), RunID: fmt.Sprint(i), Name: "Order", Claim: i != 4, Tags: tags,
			Input: lambdabiz.Payload("1"),
		})
	}
	b.startAs(lambdabiz.RunStart{ID: "invoice-0", RunID: "i", Name: "Invoice"})
	one := lambdabiz.RunRef{ID: "order-1", RunID: "1", Fence: 1}
	b.commit(&lambdabiz.Commit{Run: &one, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}})
	b.startAs(lambdabiz.RunStart{ID: "order-1", RunID: "1b", Name: "Order", Policy: lambdabiz.RestartEnded})
	two := lambdabiz.RunRef{ID: "order-2", RunID: "2", Fence: 1}
	b.commit(&lambdabiz.Commit{Run: &two, Release: &lambdabiz.Release{Blocked: &lambdabiz.Blocked{Reason: "x"}}})
	if err := b.control(lambdabiz.ControlPause, "order-3"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		filter lambdabiz.Filter
		want   []string
	}{
		"all":        {lambdabiz.Filter{}, []string{"1b", "i", "4", "3", "2", "0"}},
		"all runs":   {lambdabiz.Filter{AllRuns: true}, []string{"1b", "i", "4", "3", "2", "1", "0"}},
		"status":     {lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusScheduled}}, []string{"1b", "i", "4"}},
		"failed":     {lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusFailed}, AllRuns: true}, []string{"1"}},
		"name":       {lambdabiz.Filter{Name: "Invoice"}, []string{"i"}},
		"prefix":     {lambdabiz.Filter{IDPrefix: "order-1"}, []string{"1b"}},
		"prefixes":   {lambdabiz.Filter{IDPrefix: "order-"}, []string{"1b", "4", "3", "2", "0"}},
		"no prefix":  {lambdabiz.Filter{IDPrefix: "%"}, nil},
		"tag":        {lambdabiz.Filter{Tags: map[string]string{"n": "0"}}, []string{"4", "2", "0"}},
		"two tags":   {lambdabiz.Filter{Tags: map[string]string{"n": "1", `k"<`: "v' OR 1=1 --"}}, []string{"3"}},
		"no tag":     {lambdabiz.Filter{Tags: map[string]string{"n": "0", "m": "0"}}, nil},
		"tag as sql": {lambdabiz.Filter{Tags: map[string]string{"n": "' OR ''='"}}, nil},
		"blocked":    {lambdabiz.Filter{Blocked: true}, []string{"2"}},
		"paused":     {lambdabiz.Filter{Paused: true}, []string{"3"}},
		"after":      {lambdabiz.Filter{ScheduledAfter: b.now.Add(-time.Minute), Name: "Order"}, []string{"1b", "4", "3"}},
		"before":     {lambdabiz.Filter{ScheduledBefore: b.now.Add(-time.Minute)}, []string{"2", "0"}},
	} {
		// One page, and pages of one.
		for _, limit := range []int{0, 1} {
			f := test.filter
			f.Limit = limit
			var got []string
			for {
				page, err := b.List(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Runs {
					got = append(got, r.RunID)
					if r.Input != nil {
						t.Errorf("%s: a list with inputs", name)
					}
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s, pages of %d: %v, want %v", name, limit, got, test.want)
			}
		}
	}
	if _, err := b.List(t.Context(), lambdabiz.Filter{Cursor: "?"}); err == nil {
		t.Error("a cursor that is none was taken")
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	purge := func(r lambdabiz.PurgeRequest, want int) {
		t.Helper()
		if got, err := b.Purge(t.Context(), r); err != nil || got != want {
			t.Fatalf("purge %+v: %d, %v, want %d", r, got, err, want)
		}
	}
	var refs []lambdabiz.RunRef
	for i := range 5 {
		id := fmt.Sprintf("r%d", i)
		refs = append(refs, b.start(id).Run)
		if err := b.raise(lambdabiz.Raise{ID: id, Name: "A", Key: "k"}); err != nil {
			t.Fatal(err)
		}
		b.commit(&lambdabiz.Commit{Run: &refs[i], Operations: []lambdabiz.Operation{b.operation(1)}})
	}
	_, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: "r0"})
	wantErr(t, err, lambdabiz.ErrOpen)
	purge(lambdabiz.PurgeRequest{}, 0)
	ended := b.now
	for i := range refs[:4] {
		b.commit(&lambdabiz.Commit{
			Run: &refs[i], At: ended.Add(time.Duration(i) * time.Minute),
			Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded},
		})
	}
	purge(lambdabiz.PurgeRequest{EndedBefore: ended}, 0)
	purge(lambdabiz.PurgeRequest{EndedBefore: ended.Add(time.Minute)}, 1)
	purge(lambdabiz.PurgeRequest{ID: "r2"}, 1)
	purge(lambdabiz.PurgeRequest{ID: "nobody"}, 0)
	purge(lambdabiz.PurgeRequest{Limit: 1}, 1)
	purge(lambdabiz.PurgeRequest{}, 1)
	page, err := b.List(t.Context(), lambdabiz.Filter{AllRuns: true})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "r4" {
		t.Fatalf("left: %+v, %v", page, err)
	}
	// The id begins anew: no operation, no message and no key of before.
	ref := b.start("r0").Run
	if got := b.load("r0"); len(got.Operations) != 0 || len(got.Messages) != 0 {
		t.Errorf("of the run before: %+v", got)
	}
	if err := b.raise(lambdabiz.Raise{ID: "r0", Name: "A", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got := b.load("r0"); len(got.Messages) != 1 {
		t.Error("a key of the run before was found")
	}
	b.commit(&lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{
		Status: lambdabiz.StatusSucceeded, Next: &lambdabiz.RunStart{ID: "r0", RunID: "next", Name: "Order"},
	}})
	purge(lambdabiz.PurgeRequest{}, 1)
	if err := b.raise(lambdabiz.Raise{ID: "r0", Name: "A", Key: "k"}); err != nil || len(b.load("r0").Messages) != 1 {
		t.Errorf("the chain lost its key: %v", err)
	}
}

// Whoever purges may have a clock that is ahead: events that are kept for a start outlive their time for a month.
func TestPurgeSparesKeptEventsWhoseTimeIsJustOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.now = time.Now()
		keep := func(id string) {
			t.Helper()
			if err := b.raise(lambdabiz.Raise{ID: id, Name: "A", Until: b.now.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		purge := func(id string) {
			t.Helper()
			ref := b.start(id).Run
			b.commit(&lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
			if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: id}); n != 1 || err != nil {
				t.Fatalf("purge: %d, %v", n, err)
			}
		}
		keep("a")
		keep("b")
		time.Sleep(20 * 24 * time.Hour)
		purge("x")
		if got := b.start("a").Messages; len(got) != 1 {
			t.Errorf("after a purge by a clock that is 20 days ahead: %v", got)
		}
		time.Sleep(20 * 24 * time.Hour)
		purge("y")
		if got := b.start("b").Messages; len(got) != 0 {
			t.Errorf("after 40 days: %v", got)
		}
	})
}

// A purge that finds nothing leaves those alone who write.
func TestPurgeThatFindsNothingWaitsForNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("open")
	other, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: b.path, BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { done <- b.HoldWriter(t.Context(), held, release) }()
	<-held
	n, err := other.Purge(t.Context(), lambdabiz.PurgeRequest{EndedBefore: b.now})
	close(release)
	if n != 0 || err != nil {
		t.Errorf("purge: %d, %v", n, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Others write between the pieces of a purge.
func TestPurgeGoesInPieces(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	path := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: f.name})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	b := &bundle{Backend: backend, t: t, path: path, now: epoch}
	b.worker = b.join("v1", "Order")
	const runs, operations = 30, 100
	var batch []*lambdabiz.Commit
	for i := range runs {
		ref := b.start(fmt.Sprint(i)).Run
		c := &lambdabiz.Commit{Run: &ref, At: b.now, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}
		for n := range operations {
			c.Operations = append(c.Operations, b.operation(int64(n+1)))
		}
		batch = append(batch, c)
	}
	if _, err := b.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	before := f.synced.Load()
	if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{EndedBefore: b.now.Add(time.Hour)}); n != runs || err != nil {
		t.Fatalf("purge: %d, %v", n, err)
	}
	if pieces := f.synced.Load() - before; pieces < 3 {
		t.Errorf("%d runs with %d operations were purged in %d transactions, want 3", runs, runs*operations, pieces)
	}
	b.integrity()
}
