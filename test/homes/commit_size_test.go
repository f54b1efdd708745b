package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
)

// onSmallCommits runs a test on a home that writes 20 items, or 4,000 bytes, at once, and says so.
func onSmallCommits(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	for _, c := range []memory.Config{
		{MaxCommitItems: 20}, {MaxCommitBytes: 4000}, {MaxCommitItems: 20, MaxCommitBytes: 4000, CommitEndsClaim: true},
	} {
		t.Run(fmt.Sprintf("%d items, %d bytes", c.MaxCommitItems, c.MaxCommitBytes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{t: t, backend: openMemory(c)(t), logs: &logbook.Book{}, ctx: t.Context()}
				b.store = b.backend
				defer b.stop()
				f(t, b)
			})
		})
	}
}

// What many branches begin and end is written in pieces that the home takes, and so is what many orchestrations commit at
// the same time.
func TestCommitsAreNoLargerThanTheHomeTakes(t *testing.T) {
	onSmallCommits(t, func(t *testing.T, b *bench) {
		const most = 60
		note := lambdabiz.Define("Note", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.WaitForEvent[int](o, "n", lambdabiz.Timeout(time.Hour))
		})
		wide := lambdabiz.Define("Wide", func(o lambdabiz.Context, n int) (int, error) {
			done, err := lambdabiz.Map(o, "all", make([]int, most), func(int) string { n++; return fmt.Sprint(n) },
				func(o lambdabiz.Context, _ int) (string, error) {
					id, err := lambdabiz.StartChild(o, "c", note, 1)
					if err != nil {
						return "", err
					}
					if err := lambdabiz.RaiseEvent(o, "r", id, "n", 1); err != nil {
						return "", err
					}
					return lambdabiz.Step(o, "s", func(context.Context) (string, error) {
						return strings.Repeat("x", 400), nil
					})
				})
			return len(done), err
		})
		e, _ := b.worker(wide, note)
		var runs []*lambdabiz.Run[int]
		for i := range 5 {
			runs = append(runs, start(b, e, wide, fmt.Sprint("w", i), 0))
		}
		for i, run := range runs {
			ctx, cancel := within(b, time.Minute)
			if got, err := run.Result(ctx); got != most || err != nil {
				t.Errorf("w%d ended with %d, %v: %+v", i, got, err, b.state(e, fmt.Sprint("w", i)).Blocked)
			}
			cancel()
		}
	})
}

// What comes together is one commit. One that the home cannot write blocks its run, with the reason, and nothing of it is
// written. Others go on.
func TestACommitThatIsTooLargeNamesWhatIsToBlame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openMemory(memory.Config{MaxCommitItems: 20, MaxCommitBytes: 4000})(t)
		b := &bench{t: t, backend: store, logs: &logbook.Book{}, ctx: t.Context()}
		b.store = b.backend
		defer b.stop()
		timers := lambdabiz.Define("Timers", func(o lambdabiz.Context, n int) (int, error) {
			at, err := lambdabiz.Now(o, "now")
			if err != nil {
				return 0, err
			}
			i := 0
			done, err := lambdabiz.Map(o, "all", make([]int, n), func(int) string { i++; return fmt.Sprint(i) },
				func(o lambdabiz.Context, _ int) (int, error) {
					return 1, lambdabiz.SleepUntil(o, "s", at.Add(time.Minute))
				})
			return len(done), err
		})
		e, _ := b.worker(timers)
		few, many := start(b, e, timers, "few", 15), start(b, e, timers, "many", 30)
		if got := result(b, few); got != 15 {
			t.Errorf("%d timers are over", got)
		}
		synctest.Wait()
		s := b.state(e, many.ID())
		if s.Blocked == nil {
			t.Fatalf("it is %s, and not blocked", s.Status)
		}
		for _, part := range []string{`orchestration "many"`, `operation "all/`, "the limit of the home (memory) is 20"} {
			if !strings.Contains(s.Blocked.Reason, part) {
				t.Errorf("the reason does not name %s: %s", part, s.Blocked.Reason)
			}
		}
		if s.Blocked.Operation == "" {
			t.Error("no operation is named")
		}
		for _, o := range s.Operations {
			if strings.HasPrefix(o.ID, "all/") && o.Status.Ended() {
				t.Errorf("%s is written", o.ID)
			}
		}
		if _, err := e.StartByName(b.ctx, "Timers", "x", strings.Repeat("x", 501)); !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("a start with an input of 501 bytes gave %v", err)
		}
	})
}
