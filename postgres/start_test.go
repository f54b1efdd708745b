package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Events that are kept for a start, and the start, come at the same time from many processes: each event is in the inbox of the
// run once, and there is one run.
func TestEventsThatAreKeptMeetTheirStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := open(t, b.url)
	for round := range 10 {
		id := fmt.Sprint("order-", round)
		var all sync.WaitGroup
		errs := make([]error, 8)
		created := make([]bool, len(errs))
		for i := range errs {
			backend := b.Backend
			if i%2 == 0 {
				backend = other
			}
			c := &lambdabiz.Commit{At: b.now}
			if i < 2 {
				c.Starts = []lambdabiz.RunStart{{ID: id, RunID: fmt.Sprint(id, i), Name: "Order"}}
			} else {
				c.Raises = []lambdabiz.Raise{{ID: id, Name: "e", Key: fmt.Sprint(i), Until: b.now.Add(time.Hour)}}
			}
			all.Go(func() {
				v, err := backend.Commit(t.Context(), []*lambdabiz.Commit{c})
				if err == nil {
					err = v[0].Err
				}
				if err == nil && i < 2 {
					err, created[i] = v[0].Starts[0].Err, v[0].Starts[0].Created
				} else if err == nil {
					err = v[0].Raises[0].Err
				}
				errs[i] = err
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if created[0] == created[1] {
			t.Errorf("%s: created by the first %v, by the second %v", id, created[0], created[1])
		}
		seen := map[string]bool{}
		for _, m := range b.load(id).Messages {
			seen[m.Key] = true
		}
		if n := len(b.load(id).Messages); n != 6 || len(seen) != 6 {
			t.Errorf("%s has %d messages, of %d keys", id, n, len(seen))
		}
	}
}

// The place of a run is no run, and goes when nothing is kept any more.
func TestThePlaceOfARunIsNoRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "a", Name: "e", Until: time.Now().Add(time.Hour)}}})
	_, err := b.Load(t.Context(), "a", "")
	wantErr(t, err, lambdabiz.ErrNotFound)
	page, err := b.List(t.Context(), lambdabiz.Filter{AllRuns: true})
	if err != nil || len(page.Runs) != 0 {
		t.Errorf("listed: %+v, %v", page.Runs, err)
	}
	_, err = b.Claim(t.Context(), lambdabiz.ClaimRequest{Hand: "a"})
	wantErr(t, err, lambdabiz.ErrNotFound)
	if n := b.count("SELECT count(*) FROM lambdabiz.runs"); n != 1 {
		t.Fatalf("%d rows keep the place", n)
	}
	if _, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{}); err != nil {
		t.Fatal(err)
	}
	if n := b.count("SELECT count(*) FROM lambdabiz.runs"); n != 1 {
		t.Errorf("%d rows keep the place of what is kept", n)
	}
	execute(t, b.url, "UPDATE lambdabiz.kept SET until = 0")
	if _, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{}); err != nil {
		t.Fatal(err)
	}
	if n := b.count("SELECT (SELECT count(*) FROM lambdabiz.runs) + (SELECT count(*) FROM lambdabiz.kept)"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// What is kept for after the end keeps its place when the run is purged.
func TestWhatIsKeptOutlivesThePurgeOfTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("a")
	b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
	b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "a", Name: "e", Until: time.Now().Add(time.Hour), AfterEnd: true}}})
	if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: "a"}); n != 1 || err != nil {
		t.Fatalf("%d runs purged, %v", n, err)
	}
	if n := b.count("SELECT count(*) FROM lambdabiz.runs WHERE status = 0 AND latest"); n != 1 {
		t.Errorf("%d rows keep the place", n)
	}
	s := startOf("a")
	s.RunID = "another"
	v := b.commit(&lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{s}}).Starts[0]
	if !v.Created || len(v.Messages) != 1 {
		t.Errorf("created %v, with %d messages", v.Created, len(v.Messages))
	}
}
