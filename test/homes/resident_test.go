package homes_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// napper sleeps and wakes without end, until it is cancelled.
var napper = lambdabiz.Define("Napper", func(o lambdabiz.Context, d time.Duration) (int, error) {
	for i := 0; ; i++ {
		if err := lambdabiz.Sleep(o, fmt.Sprint("nap-", i), d); err != nil {
			return i, err
		}
	}
})

// Orchestrations that sleep and wake again and again were never parked, since each was due soon: with as many of them as
// the engine holds, no other one ever began.
// Row 108 of docs/proof/bugs.md.
func TestAFullEngineMakesRoomForWhatIsDue(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		one := lambdabiz.Define("One", func(o lambdabiz.Context, n int) (int, error) {
			return n, lambdabiz.Sleep(o, "s", time.Second)
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 2, PollInterval: time.Hour}, napper, one)
		for i := range 2 {
			start(b, e, napper, fmt.Sprint("napper-", i), 5*time.Second)
		}
		synctest.Wait()
		client := b.engine(lambdabiz.Config{}, one)
		for _, starter := range []*lambdabiz.Engine{e, client} {
			for i := range 5 {
				ctx, cancel := within(b, 2*time.Hour) // a client of another process: found by the next poll at the latest
				run := start(b, starter, one, fmt.Sprintf("one-%p-%d", starter, i), i)
				if got, err := run.Result(ctx); got != i || err != nil {
					t.Errorf("it ended with %d, %v", got, err)
				}
				cancel()
			}
		}
		for i := range 2 { // and they go on themselves
			id := fmt.Sprint("napper-", i)
			before := len(b.state(e, id).Operations)
			time.Sleep(time.Minute)
			if after := len(b.state(e, id).Operations); after < before+8 {
				t.Errorf("%s napped %d times in a minute", id, after-before)
			}
			if err := e.Cancel(b.ctx, id, ""); err != nil {
				t.Fatal(err)
			}
		}
	}, "memory", "sqlite", "postgres")
}

// Parents that wait for their children kept those out: 40 parents with trivial children took ten minutes where four
// orchestrations have room.
func TestParentsMakeRoomForTheirChildren(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Child", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, n int) (int, error) {
			return lambdabiz.CallChild(o, "c", child, n)
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 4}, parent, child)
		began := time.Now()
		var runs []*lambdabiz.Run[int]
		for i := range 40 {
			runs = append(runs, start(b, e, parent, fmt.Sprint("p", i), i))
		}
		for i, run := range runs {
			if got := result(b, run); got != i {
				t.Errorf("p%d ended with %d", i, got)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	}, "memory", "sqlite", "postgres")
}

// Events that nobody waits for yet took memory that the budget did not see.
// Row 109 of docs/proof/bugs.md.
func TestTheMemoryBudgetCountsEvents(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		e, _ := b.workerWith(lambdabiz.Config{MemoryBudget: 1 << 20, ParkAfter: time.Hour}, collect)
		for _, id := range []string{"quiet", "crowded"} {
			start(b, e, collect, id, 1)
		}
		synctest.Wait()
		if s := b.state(e, "quiet"); s.Worker == 0 {
			t.Fatal("it was parked without need")
		}
		for i := range 20 {
			if err := e.RaiseEvent(b.ctx, "crowded", "unknown", string(make([]byte, 60<<10)), lambdabiz.Key(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for _, id := range []string{"quiet", "crowded"} { // the longest idle first, then what is too big by itself
			if s := b.state(e, id); s.Worker != 0 {
				t.Errorf("%s is in memory still", id)
			}
			raise(b, e, id, "E", "done")
		}
	}, "memory", "sqlite", "postgres")
}

// A worker with as many runs as it may hold was not told when one of them left, and claimed the next one only when
// it looked by itself.
func TestAFullWorkerClaimsWhenARunLeaves(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.Step(o, "s", one) })
		client := b.engine(lambdabiz.Config{PollInterval: 10 * time.Millisecond}, d)
		runs := make([]*lambdabiz.Run[int], 10)
		for i := range runs {
			runs[i] = start(b, client, d, fmt.Sprint("r", i), 0)
		}
		began := time.Now()
		b.workerWith(lambdabiz.Config{MaxResident: 2, PollInterval: time.Minute}, d)
		for _, run := range runs {
			result(b, run)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	}, "memory", "sqlite", "postgres")
}
