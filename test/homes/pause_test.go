package homes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func control(b *bench, f func(ctx context.Context, id string) error, id string) {
	b.t.Helper()
	if err := f(b.ctx, id); err != nil {
		b.t.Fatal(err)
	}
}

func pause(e *lambdabiz.Engine) func(ctx context.Context, id string) error {
	return func(ctx context.Context, id string) error { return e.Pause(ctx, id, "by test") }
}

func TestPauseWhileAStepRunsRecordsItAndThenNothingHappens(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			for _, id := range []string{"first", "second"} {
				if err := lambdabiz.Do(o, id, func(context.Context) error {
					seen.add(id)
					time.Sleep(5 * time.Second)
					return nil
				}); err != nil {
					return 0, err
				}
			}
			return 1, nil
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		time.Sleep(2 * time.Second)
		control(b, pause(e), "x")
		control(b, pause(e), "x") // once more changes nothing
		time.Sleep(30 * time.Second)
		s := b.state(e, "x")
		if !s.Paused || s.Status != lambdabiz.StatusStarted || operation(t, s, "first").Status != lambdabiz.StatusSucceeded ||
			len(s.Operations) != 1 || seen.String() != "first" {
			t.Errorf("while it is paused: %+v; what ran: %v", s, &seen)
		}
		control(b, e.Resume, "x")
		if result(b, run); seen.String() != "first, second" {
			t.Errorf("what ran: %v", &seen)
		}
		if err := e.Pause(b.ctx, "x", ""); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("a pause after the end gave %v", err)
		}
	}, notOnSWF("a run learns of a pause at its next decision, and SWF's timers go on"), keepsClaims(countsBodies))
}

// Reasons go along when a run continues as new, and State has them.
func TestReasonsMoveToTheRunThatContinues(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
			_ = lambdabiz.Sleep(o, "long", time.Hour) // it ignores the cancellation
			if round == 0 {
				return 0, lambdabiz.ContinueAsNew(o, 1)
			}
			return 0, lambdabiz.Sleep(o, "longer", time.Hour)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		synctest.Wait()
		for _, reason := range []string{"nobody wants it", "another one"} {
			// The run that continues is cancelled too, and may have ended before the second one comes.
			if err := e.Cancel(b.ctx, "x", reason); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
				t.Fatal(err)
			}
		}
		_ = failure(b, run)
		s := b.state(e, "x")
		if s.Previous == "" || s.CancelReason != "nobody wants it" {
			t.Errorf("the run that continues: %q, previous %q", s.CancelReason, s.Previous)
		}
	})
}

func TestTimersOfAPausedRunAreLate(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", 10*time.Second) })
		e, stop := b.worker(d)
		began := time.Now()
		start(b, e, d, "x", 0)
		time.Sleep(2 * time.Second)
		control(b, pause(e), "x")
		time.Sleep(28 * time.Second)
		stop() // the pause outlives the process
		e, _ = b.worker(d)
		time.Sleep(10 * time.Second)
		if s := b.state(e, "x"); !s.Paused || operation(t, s, "s").Status != lambdabiz.StatusStarted {
			t.Errorf("the paused timer is %+v", operation(t, s, "s"))
		}
		control(b, e.Resume, "x")
		result(b, lambdabiz.Get(e, d, "x"))
		if took := b.state(e, "x").EndedAt.Sub(began); took < 40*time.Second || took > 45*time.Second {
			t.Errorf("it ended after %v", took)
		}
	}, notOnSWF("a run learns of a pause at its next decision, and SWF's timers go on"), keepsClaims(countsTime))
}

func TestPauseBeforeTheFirstClaim(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		client := b.engine(lambdabiz.Config{})
		start(b, client, echo, "x", 7)
		control(b, pause(client), "x")
		e, _ := b.worker(echo)
		time.Sleep(10 * time.Second)
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusScheduled || !s.Paused {
			t.Errorf("it is %+v", s.RunInfo)
		}
		control(b, e.Resume, "x")
		if err := e.Resume(b.ctx, "x"); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
			t.Error(err) // it may have ended by now
		}
		if got := result(b, lambdabiz.Get(e, echo, "x")); got != 7 {
			t.Errorf("result is %d", got)
		}
	})
}

func TestResumeBeforeThePauseWasSeen(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.Sleep(o, "s", 10*time.Second); err != nil {
				return 0, err
			}
			return lambdabiz.WaitForEvent[int](o, "E")
		})
		e, _ := b.worker(d)
		client := b.engine(lambdabiz.Config{})
		run := start(b, e, d, "x", 0)
		for range 5 {
			time.Sleep(3 * time.Second)
			control(b, pause(client), "x")
			control(b, client.Resume, "x")
		}
		raise(b, client, "x", "E", 7)
		if got := result(b, run); got != 7 || b.state(e, "x").Paused {
			t.Errorf("result is %d", got)
		}
	})
}

func TestCancelOfAPausedRunIsSeenAfterItsResume(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(never)
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		synctest.Wait()
		control(b, pause(e), "x")
		if err := e.Cancel(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if s := b.state(e, "x"); s.Status.Ended() {
			t.Errorf("a paused run has ended as %v", s.Status)
		}
		control(b, e.Resume, "x")
		if err := failure(b, run); !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Error(err)
		}
	})
}

func TestListFilters(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		mistake := lambdabiz.Define("Mistake", func(lambdabiz.Context, int) (int, error) { panic("a mistake") })
		b.well()
		e, _ := b.worker(ends, mistake)
		tags := func(kv ...string) lambdabiz.StartOption {
			m := map[string]string{}
			for i := 0; i < len(kv); i += 2 {
				m[kv[i]] = kv[i+1]
			}
			return lambdabiz.Tags(m)
		}
		began := time.Now()
		for i, how := range []string{"SUCCEEDED", "FAILED", "waits", "waits"} {
			start(b, e, ends, fmt.Sprint("e", i), how, tags("n", fmt.Sprint(i), "all", "yes"))
			time.Sleep(time.Second)
		}
		start(b, e, mistake, "m%_", 0)
		b.settle()
		control(b, pause(e), "e3")
		b.settle()
		for want, f := range map[string]lambdabiz.Filter{
			"m%_ e3 e2 e1 e0": {},
			"e1 e0":           {Status: []lambdabiz.Status{lambdabiz.StatusSucceeded, lambdabiz.StatusFailed}},
			"e1":              {Status: []lambdabiz.Status{lambdabiz.StatusFailed}, Name: "Ends"},
			"e3 e2 e1 e0":     {Name: "Ends"},
			"m%_":             {IDPrefix: "m%"},
			"":                {IDPrefix: "%"},
			"e2":              {Tags: map[string]string{"n": "2", "all": "yes"}},
			"e3":              {Paused: true},
			"m%_ ":            {Blocked: true},
			"e2 e1": {
				ScheduledAfter: began.Add(500 * time.Millisecond), ScheduledBefore: began.Add(2500 * time.Millisecond),
			},
		} {
			if got := listed(b, e, f); got != want && got+" " != want {
				t.Errorf("%+v lists %s, not %s", f, got, want)
			}
		}
		for _, limit := range []int{-1, 1001} {
			if _, err := e.List(b.ctx, lambdabiz.Filter{Limit: limit}); err == nil {
				t.Errorf("a limit of %d is accepted", limit)
			}
		}
		if _, err := e.List(b.ctx, lambdabiz.Filter{Cursor: "no cursor"}); err == nil {
			t.Error("a cursor that is none is accepted")
		}
	}, oneClock(comparesClocks))
}

// listed is the ids of all pages, one space between two.
func listed(b *bench, e *lambdabiz.Engine, f lambdabiz.Filter) string {
	b.t.Helper()
	ids := ""
	for f.Limit = 2; ; {
		page, err := e.List(b.ctx, f)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(page.Runs) > 2 {
			b.t.Errorf("a page has %d rows", len(page.Runs))
		}
		for _, r := range page.Runs {
			if len(r.Input)+len(r.Result)+len(r.Progress) > 0 {
				b.t.Errorf("%s is listed with its payloads", r.ID)
			}
			if ids != "" {
				ids += " "
			}
			ids += r.ID
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return ids
		}
	}
}

func TestPagesDoNotShiftWhileRunsStart(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		for i := range 10 {
			start(b, e, echo, fmt.Sprint("x", i), i)
		}
		var ids []string
		f := lambdabiz.Filter{Limit: 3}
		for i := 0; ; i++ {
			page, err := e.List(b.ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Runs {
				ids = append(ids, r.ID)
			}
			start(b, e, echo, fmt.Sprint("late", i), i)
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		slices.Sort(ids)
		if got := fmt.Sprint(ids); got != "[x0 x1 x2 x3 x4 x5 x6 x7 x8 x9]" {
			t.Errorf("the pages have %s", got)
		}
	}, notOnSWF("runs that start in one microsecond have no order in a store"))
}

// Row 93 of docs/proof/bugs.md.
func TestPurge(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(ends)
		for i := range 3 {
			bring(b, e, fmt.Sprint("old", i), "SUCCEEDED")
		}
		time.Sleep(10 * time.Second)
		before := time.Now()
		time.Sleep(10 * time.Second)
		bring(b, e, "new", "FAILED")
		bring(b, e, "open", "STARTED")
		bring(b, e, "paused", "PAUSED")
		for _, id := range []string{"open", "paused"} {
			if err := e.Purge(b.ctx, id); !errors.Is(err, lambdabiz.ErrOpen) {
				t.Errorf("a purge of what is open gave %v", err)
			}
		}
		for _, want := range []int{2, 1, 0} {
			if n, err := e.PurgeEnded(b.ctx, before, 2); n != want || err != nil {
				t.Errorf("it removed %d, not %d: %v", n, want, err)
			}
		}
		for _, zero := range []time.Time{{}, time.Time{}.In(time.FixedZone("east", 3600))} {
			if n, err := e.PurgeEnded(b.ctx, zero, 0); n != 0 || err == nil {
				t.Errorf("a purge of what ended before no time at all removed %d: %v", n, err)
			}
		}
		if got := listed(b, e, lambdabiz.Filter{AllRuns: true}); got != "paused open new" {
			t.Errorf("what remains is %s", got)
		}
		if err := e.Purge(b.ctx, "new"); err != nil {
			t.Error(err)
		}
		if _, err := e.State(b.ctx, "new"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("after the purge State gave %v", err)
		}
		bring(b, e, "new", "SUCCEEDED") // the id is free
	}, notOnSWF("histories stay there for their retention"))
}

// Pause while code waits and while a body runs; Resume goes on with everything.
func TestPauseAndResume(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var bodies atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			f := lambdabiz.Go(o, "f", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
					time.Sleep(10 * time.Second)
					return int(bodies.Add(1)), nil
				})
			})
			a, err := lambdabiz.WaitForEvent[int](o, "e")
			if err != nil {
				return 0, err
			}
			v, err := f.Wait(o)
			return a + v, err
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		b.settle() // its body begins
		for range 3 {
			time.Sleep(3 * time.Second)
			if err := e.Pause(b.ctx, "x", ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
			if s := b.state(e, "x"); !s.Paused || s.Worker != 0 || operation(t, s, "f/s").Status != lambdabiz.StatusSucceeded {
				t.Errorf("%+v", s)
			}
			if err := e.Resume(b.ctx, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Pause(b.ctx, "x", ""); err != nil {
			t.Fatal(err)
		}
		if err := e.RaiseEvent(b.ctx, "x", "e", 10); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s := b.state(e, "x"); s.Status.Ended() {
			t.Error("a paused run has ended")
		}
		b.well()
		if err := e.Resume(b.ctx, "x"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if v, err := run.Result(ctx); v != 11 || err != nil || bodies.Load() != 1 {
			t.Error(v, err, bodies.Load())
		}
	}, keepsClaims(countsBodies))
}
