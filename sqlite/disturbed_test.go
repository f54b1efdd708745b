package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// disturbances are what people and programs do to files of a database that is open, and how they undo it.
var disturbances = []struct {
	name   string
	do     func(t *testing.T, path string) (undo func())
	refuse bool // writes must be refused meanwhile
}{
	{"moved", func(t *testing.T, path string) func() {
		move(t, path, path+".moved")
		return func() { move(t, path+".moved", path) }
	}, true},
	{"replaced", func(t *testing.T, path string) func() {
		move(t, path, path+".moved")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return func() { move(t, path+".moved", path) }
	}, true},
	{"log moved", func(t *testing.T, path string) func() {
		move(t, path+"-wal", path+"-wal.moved")
		return func() { move(t, path+"-wal.moved", path+"-wal") }
	}, true},
	{"directory moved", func(t *testing.T, path string) func() {
		dir := filepath.Dir(path)
		move(t, dir, dir+".moved")
		return func() { move(t, dir+".moved", dir) }
	}, true},
	{"hard-linked", func(t *testing.T, path string) func() {
		if err := os.Link(path, path+".link"); err != nil {
			t.Fatal(err)
		}
		if two, err := sqlite.Open(path + ".link"); !errors.Is(err, sqlite.ErrLinked) {
			t.Errorf("open by another name: %v, %v", two, err)
		}
		return func() {
			if err := os.Remove(path + ".link"); err != nil {
				t.Fatal(err)
			}
		}
	}, false},
	{"lock files removed", func(t *testing.T, path string) func() {
		locks, err := filepath.Glob(path + "-worker-*")
		if err != nil || len(locks) == 0 {
			t.Fatalf("lock files: %v, %v", locks, err)
		}
		for _, lock := range locks {
			if err := os.Remove(lock); err != nil {
				t.Fatal(err)
			}
		}
		return func() {}
	}, false},
}

// disturb writes by four goroutines while the files are disturbed in random order, and returns how often what struck,
// and what was acknowledged and is not there afterwards.
func disturb(t *testing.T, random *rand.Rand, wrap func(b lambdabiz.Backend) lambdabiz.Backend) (map[string]int, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test.db")
	opened, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{Backend: opened, t: t, path: path, now: time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC)}
	b.worker = b.join("v1", "Order")
	type answer struct {
		id  string
		err error
	}
	answers, stop := make(chan answer), make(chan struct{})
	var writers sync.WaitGroup
	written := wrap(b.Backend)
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d", w, n)
				verdicts, err := written.Commit(t.Context(), []*lambdabiz.Commit{startOf(b, id)})
				if err == nil && len(verdicts[0].Starts) > 0 {
					err = errors.Join(verdicts[0].Err, verdicts[0].Starts[0].Err)
				}
				select {
				case answers <- answer{id, err}:
				case <-stop:
					return
				}
			}
		})
	}
	struck := map[string]int{}
	var told []string
	hear := func(name string) {
		for range 12 { // what was on its way, too
			a := <-answers
			if a.err == nil {
				told = append(told, a.id)
			} else if errors.Is(a.err, sqlite.ErrMoved) {
				struck[name]++
			}
		}
	}
	hear("before")
	for _, i := range random.Perm(len(disturbances)) {
		d := disturbances[i]
		b.join("v1", "Order") // it has a lock file
		undo := d.do(t, path)
		hear(d.name)
		undo()
		if !d.refuse {
			struck[d.name]++
		}
		hear(d.name)
	}
	close(stop)
	writers.Wait()
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	after, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	struck["acknowledged"] = len(told)
	for _, id := range told {
		if _, err := after.Load(t.Context(), id, ""); err != nil {
			return struck, fmt.Sprintf("%s was acknowledged, and is lost: %v", id, err)
		}
	}
	return struck, ""
}

// What happens to the files under load makes nothing disappear that was acknowledged, and what cannot be kept is refused.
func TestDisturbedFilesLoseNothingAcknowledged(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	total := map[string]int{}
	for round := range campaign.Rounds(t, 2, 500) {
		struck, complaint := disturb(t, campaign.Random(seed, round), func(b lambdabiz.Backend) lambdabiz.Backend { return b })
		if complaint != "" {
			t.Fatal(complaint)
		}
		for what, n := range struck {
			total[what] += n
		}
	}
	counts := []campaign.Count{{What: "acknowledged", N: total["acknowledged"]}}
	for _, d := range disturbances {
		counts = append(counts, campaign.Count{What: d.name, N: total[d.name]})
	}
	campaign.Report(t, "F52", counts)
}

// trusting takes a write to a file that is not in its place for a success.
type trusting struct{ lambdabiz.Backend }

// Commit says that what was refused for the files' sake was applied.
func (c trusting) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	verdicts, err := c.Backend.Commit(ctx, batch)
	if errors.Is(err, sqlite.ErrMoved) {
		return make([]lambdabiz.Verdict, len(batch)), nil
	}
	return verdicts, err
}

// Without the refusal what is written meanwhile is acknowledged and lost.
func TestSabotageMovedFilesUntold(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	complaint := campaign.UntilRed(func(round int) string {
		_, complaint := disturb(t, campaign.Random(seed, round), func(b lambdabiz.Backend) lambdabiz.Backend { return trusting{b} })
		return complaint
	})
	campaign.Red(t, "F52", "the refusal of writes to files that are not in their place", complaint)
}
