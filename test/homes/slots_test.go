package homes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// crowd counts the bodies that run at once.
type crowd struct {
	mu        sync.Mutex
	now, most int
	order     []string
}

func (c *crowd) body(ctx context.Context, name string, d time.Duration) error {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.order = append(c.order, name)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// busyWith maps over items with a step for each, and a task for each second one.
func busyWith(c *crowd) (*lambdabiz.Definition[int, int], *lambdabiz.Task[string, int]) {
	task := lambdabiz.NewTask("Work", func(ctx context.Context, name string) (int, error) {
		return 1, c.body(ctx, name, time.Second)
	})
	return lambdabiz.Define("Busy", func(o lambdabiz.Context, n int) (int, error) {
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		done, err := lambdabiz.Map(o, "all", items, func(i int) string { return fmt.Sprint(i) },
			func(o lambdabiz.Context, i int) (int, error) {
				if i%2 == 0 {
					return lambdabiz.Call(o, "task", task, "task")
				}
				return 1, lambdabiz.Do(o, "step", func(ctx context.Context) error { return c.body(ctx, "step", time.Second) })
			})
		return len(done), err
	}), task
}

// Row 95 of docs/proof/bugs.md.
func TestNoMoreBodiesRunAtOnceThanTheConfigAllows(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var c crowd
		d, task := busyWith(&c)
		e, _ := b.workerWith(lambdabiz.Config{MaxTasks: 3}, d, task)
		one, two := start(b, e, d, "one", 20), start(b, e, d, "two", 20)
		if got := result(b, one) + result(b, two); got != 40 {
			t.Errorf("%d are done", got)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		most := 3
		if b.home == "swf" {
			most = 6 // tasks are handed out, and counted apart from steps
		}
		if c.most > most || c.most < 3 {
			t.Errorf("%d bodies ran at once", c.most)
		}
	})
}

func TestWithoutALimitAllBodiesRunAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var c crowd
		d, task := busyWith(&c)
		e, _ := b.worker(d, task)
		result(b, start(b, e, d, "one", 20))
		if c.mu.Lock(); c.most < 15 {
			t.Errorf("%d bodies ran at once", c.most)
		}
		c.mu.Unlock()
	}, notOnSWF("tasks and steps do not wait for each other there"))
}

// claimInUse: where a commit ends the claim, what comes meanwhile is seen when the body has ended, or has had its turn.
const claimInUse = "timers and messages wait there while a body waits or runs"

// What waits for a slot is cancelled, stopped, or loses its race without waiting for it.
func TestWhoWaitsForASlotNeedNotGetOne(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var c crowd
		long := lambdabiz.Define("Long", func(o lambdabiz.Context, name string) (int, error) {
			return 0, lambdabiz.Do(o, "step", func(ctx context.Context) error { return c.body(ctx, name, 20*time.Second) })
		})
		races := lambdabiz.Define("Races", func(o lambdabiz.Context, _ int) (int, error) {
			slow := lambdabiz.Go(o, "slow", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Do(o, "step", func(ctx context.Context) error { return c.body(ctx, "loser", time.Second) })
			})
			quick := lambdabiz.Go(o, "quick", func(o lambdabiz.Context) (int, error) { return 0, lambdabiz.Sleep(o, "nap", time.Second) })
			return lambdabiz.Race(o, "first", slow, quick)
		})
		b.well()
		e, stop := b.workerWith(lambdabiz.Config{MaxTasks: 1, DrainTimeout: time.Minute}, long, races)
		holder := start(b, e, long, "holder", "holder")
		synctest.Wait()
		cancelled, race := start(b, e, long, "cancelled", "cancelled"), start(b, e, races, "race", 0)
		left := start(b, e, long, "left", "left")
		synctest.Wait()
		if err := cancelled.Cancel(b.ctx, "no time"); err != nil {
			t.Fatal(err)
		}
		if got := result(b, race); got != 1 {
			t.Errorf("branch %d has won", got)
		}
		if _, err := cancelled.Result(b.ctx); err == nil {
			t.Error("it was not cancelled")
		}
		if s := b.state(e, "holder"); s.Status.Ended() {
			t.Error("the others have waited for the slot")
		}
		stop()
		b.ill()
		e, _ = b.worker(long, races)
		result(b, lambdabiz.Get(e, long, holder.ID()))
		result(b, lambdabiz.Get(e, long, left.ID()))
		c.mu.Lock()
		defer c.mu.Unlock()
		// A body that is cut begins anew; what was cancelled or has lost never begins.
		if got := strings.Join(slices.Compact(c.order), " "); got != "holder left" {
			t.Errorf("what ran: %s", got)
		}
	}, notOnSWF(claimInUse), exception{"memory, a commit ends the claim", claimInUse},
		exception{"memory, and performs timers", claimInUse},
		keepsClaims("a body of 20 s does not end where workers begin anew within it"))
}
