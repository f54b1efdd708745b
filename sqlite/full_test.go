package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// Each method meets the end of the disk at its first new page, its second, and so on until there is room
// enough: it says that the disk is full, nothing of it is there, and it works when there is room again.
func TestFullDiskAtEveryPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	met := map[string]int{}
	hurry := campaign.Rounds(t, 1, 1000) == 1
	fillers := []int{0, 3000, 20_000}
	if hurry {
		fillers = fillers[2:]
	}
	for i, filler := range fillers {
		s := b.newScript(fmt.Sprintf("full-%d-", i))
		s.filler = lambdabiz.Payload(strings.Repeat(" ", filler))
		for _, step := range allSteps() {
			for pages := 0; ; pages++ {
				if hurry {
					pages += pages / 2 // it may skip the last that is too few
				}
				if err := b.LimitPages(pages); err != nil {
					t.Fatal(err)
				}
				err := step.do(s)
				if err == nil {
					break
				}
				met[step.name]++
				if !strings.Contains(err.Error(), "the disk is full") || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
					t.Fatalf("%s with %d pages left: %v", step.name, pages, err)
				}
				if done, err := step.done(s); done || err != nil {
					t.Fatalf("%s with %d pages left: done %t, %v", step.name, pages, done, err)
				}
			}
			if step.done == nil {
				continue
			}
			if done, err := step.done(s); !done || err != nil {
				t.Fatalf("%s with room: done %t, %v", step.name, done, err)
			}
		}
	}
	b.integrity()
	counts := make([]campaign.Count, 0, len(met))
	for _, step := range []string{"start", "operation", "child and operations", "batch", "raise", "keep"} {
		counts = append(counts, campaign.Count{What: step, N: met[step]})
	}
	campaign.Report(t, "F22", counts)
}

// shop is an engine on a disk, with orchestrations of five steps and a timer, and what was acknowledged to its
// customers.
type shop struct {
	t       *testing.T
	backend lambdabiz.Backend
	engine  *lambdabiz.Engine
	logs    logbook.Book
	order   *lambdabiz.Definition[int, int]

	mu     sync.Mutex
	bodies map[string]int // by step
	acked  []int
}

func orderID(n int) string { return fmt.Sprintf("order-%04d", n) }

// newShop makes the engine; wait is how long an order's timer takes.
func newShop(t *testing.T, b lambdabiz.Backend, wait time.Duration) *shop {
	t.Helper()
	s := &shop{t: t, backend: b, bodies: map[string]int{}}
	s.order = lambdabiz.Define("Order", func(o lambdabiz.Context, n int) (int, error) {
		sum := 0
		for i := range 5 {
			if i == 3 && wait > 0 {
				if err := lambdabiz.Sleep(o, "timer", wait); err != nil {
					return 0, err
				}
			}
			got, err := lambdabiz.Step(o, fmt.Sprint("step-", i), func(context.Context) (int, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.bodies[fmt.Sprint(o.ID(), "/", i)]++
				return n * (i + 1), nil
			})
			if err != nil {
				return 0, err
			}
			sum += got
		}
		return sum, nil
	})
	e, err := lambdabiz.New(b, lambdabiz.Config{Logger: slog.New(slog.NewTextHandler(&s.logs, nil)), PollInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(s.order); err != nil {
		t.Fatal(err)
	}
	s.engine = e
	return s
}

// start asks for an order, and remembers what was acknowledged.
func (s *shop) start(ctx context.Context, n int) error {
	_, err := lambdabiz.Start(ctx, s.engine, s.order, orderID(n), n)
	if err == nil {
		s.acked = append(s.acked, n)
	}
	return err
}

// finish waits for all that was acknowledged, and says what is wrong.
func (s *shop) finish(ctx context.Context) string {
	for _, n := range s.acked {
		if got, err := lambdabiz.Get(s.engine, s.order, orderID(n)).Result(ctx); err != nil || got != 15*n {
			return fmt.Sprintf("%s was acknowledged: result %d, error %v", orderID(n), got, err)
		}
	}
	broken, err := invariant.All(ctx, s.backend, invariant.Options{})
	if err != nil {
		return err.Error()
	}
	return invariant.Text(broken)
}

// fillDisk lets orders run while the disk is full for minutes, four times. It returns what is wrong, and how
// often a write met the end of the disk, and how many orders were refused.
func fillDisk(t *testing.T, wrap func(lambdabiz.Backend) lambdabiz.Backend) (met, refused int, complaint string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	d := newDisk(t)
	synctest.Test(t, func(t *testing.T) {
		backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: d.name})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		s := newShop(t, wrap(backend), 90*time.Second)
		err = s.engine.RunWhile(ctx, func(ctx context.Context) error {
			for n := range 12 {
				switch n % 6 {
				case 3:
					d.arm(onFull, 1+n/6, true)
				case 0:
					met += d.heal()
				}
				if err := s.start(ctx, n+1); err != nil {
					refused++
					if !strings.Contains(err.Error(), "disk is full") {
						complaint = fmt.Sprintf("a start on a full disk gave %v", err)
					}
				}
				time.Sleep(30 * time.Second)
			}
			met += d.heal()
			if complaint == "" {
				complaint = s.finish(ctx)
			}
			return nil
		})
		if err != nil && complaint == "" {
			complaint = err.Error()
		}
		if complaint == "" && !s.logs.Has("disk is full") {
			complaint = "the log does not say that the disk is full"
		}
		cancel()
		if err := backend.Close(); err != nil && complaint == "" {
			complaint = err.Error()
		}
	})
	if complaint == "" {
		if err := check(path); err != nil {
			complaint = err.Error()
		}
	}
	return met, refused, complaint
}

// The disk is full for minutes while orders are on their way: the engine says so and goes on when there is
// room again; all that was acknowledged comes to its end, and to the right one.
func TestOrdersGoOnWhenTheDiskHasRoomAgain(t *testing.T) {
	t.Parallel()
	met, refused, complaint := fillDisk(t, func(b lambdabiz.Backend) lambdabiz.Backend { return b })
	if complaint != "" {
		t.Error(complaint)
	}
	campaign.Report(t, "F22", []campaign.Count{{What: "writes to a full disk", N: met}, {What: "refused orders", N: refused}})
}

// careless takes a full disk for a success.
type careless struct{ lambdabiz.Backend }

// Commit says that everything was applied.
func (c careless) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	verdicts, err := c.Backend.Commit(ctx, batch)
	if err == nil || !strings.Contains(err.Error(), "disk is full") {
		return verdicts, err
	}
	verdicts = make([]lambdabiz.Verdict, len(batch))
	for i, one := range batch {
		for _, start := range one.Starts {
			verdicts[i].Starts = append(verdicts[i].Starts, lambdabiz.StartVerdict{
				Created: true, Run: lambdabiz.RunRef{ID: start.ID, RunID: start.RunID},
			})
		}
		verdicts[i].Raises = make([]lambdabiz.RaiseVerdict, len(one.Raises))
		verdicts[i].Controls = make([]error, len(one.Controls))
	}
	return verdicts, nil
}

// Without the error of a full disk orders are acknowledged and lost.
func TestSabotageFullDiskUntold(t *testing.T) {
	t.Parallel()
	_, _, complaint := fillDisk(t, func(b lambdabiz.Backend) lambdabiz.Backend { return careless{b} })
	campaign.Red(t, "F22", "the error of a commit that found the disk full", complaint)
}

// wantFull checks the error of a call that has met the end of the disk.
func wantFull(t *testing.T, err error) {
	t.Helper()
	var temporary interface{ Temporary() bool }
	switch {
	case err == nil || !strings.Contains(err.Error(), "disk is full"), errors.Is(err, lambdabiz.ErrOutcomeUnknown):
		t.Fatalf("on a full disk: %v", err)
	case !errors.As(err, &temporary) || !temporary.Temporary():
		t.Fatalf("a full disk is not called temporary: %v", err)
	}
}

// The operating system says in an error of package os that the disk, or the user's share of it, is full.
func TestFullDiskInTheWordsOfTheSystem(t *testing.T) {
	t.Parallel()
	for _, says := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		d := newDisk(t)
		d.says = &fs.PathError{Op: "write", Path: "test.db-wal", Err: says}
		b, err := d.open(t)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 4; n++ {
			for _, sticky := range []bool{false, true} {
				id := fmt.Sprint(n, sticky)
				d.arm(onWrite, n, sticky)
				_, err := b.Commit(t.Context(), []*lambdabiz.Commit{startOf(b, id)})
				if struck := d.heal(); struck == 0 {
					continue
				}
				wantFull(t, err)
				if exists(b, id) {
					t.Errorf("%v: what was refused is there", says)
				}
				b.commit(startOf(b, id))
			}
		}
		b.integrity()
	}
}
