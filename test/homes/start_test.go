package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// ends is an orchestration that ends as its input says.
var ends = lambdabiz.Define("Ends", func(o lambdabiz.Context, how string) (string, error) {
	switch how {
	case "SUCCEEDED":
		return how, nil
	case "FAILED":
		return "", errors.New("as asked")
	default:
		_, err := never(o)
		return "", err
	}
})

// bring starts an orchestration and brings it into the state with the given name.
func bring(b *bench, e *lambdabiz.Engine, id, state string) (runID string) {
	b.t.Helper()
	if state == "NONE" {
		return ""
	}
	var opts []lambdabiz.StartOption
	if state == "TIMEOUT" {
		opts = append(opts, lambdabiz.Deadline(time.Second))
	}
	run := start(b, e, ends, id, state, opts...)
	b.settle()
	var err error
	switch state {
	case "CANCELLED":
		err = e.Cancel(b.ctx, id, "")
	case "TERMINATED":
		err = e.Terminate(b.ctx, id, "")
	case "PAUSED":
		err = e.Pause(b.ctx, id, "")
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if state == "STARTED" || state == "PAUSED" {
		return run.RunID()
	}
	if _, err := run.Result(b.ctx); (err == nil) != (state == "SUCCEEDED") {
		b.t.Fatal(err)
	}
	if s := b.state(e, id); s.Status.String() != state {
		b.t.Fatalf("%s is %v", id, s.Status)
	}
	return run.RunID()
}

func TestEveryStartPolicyInEveryState(t *testing.T) {
	states := []string{"NONE", "STARTED", "PAUSED", "SUCCEEDED", "FAILED", "TIMEOUT", "CANCELLED", "TERMINATED"}
	// By state: a new run, the same run, or an error.
	policies := map[string]struct {
		policy lambdabiz.StartPolicy
		want   string
	}{
		"UseExisting":    {lambdabiz.UseExisting, "new same same same same same same same"},
		"RejectExisting": {lambdabiz.RejectExisting, "new error error error error error error error"},
		"RejectOpen":     {lambdabiz.RejectOpen, "new error error new new new new new"},
		"RestartEnded":   {lambdabiz.RestartEnded, "new same same new new new new new"},
		"RestartFailed":  {lambdabiz.RestartFailed, "new same same same new new new new"},
	}
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(ends)
		for name, test := range policies {
			for i, state := range states {
				id := name + " " + state
				before := bring(b, e, id, state)
				run, err := lambdabiz.Start(b.ctx, e, ends, id, "SUCCEEDED", lambdabiz.OnUsedID(test.policy))
				got := "new"
				switch {
				case errors.Is(err, lambdabiz.ErrExists):
					got = "error"
				case err != nil:
					got = err.Error()
				case run.RunID() == before:
					got = "same"
				}
				if want := strings.Fields(test.want)[i]; got != want {
					t.Errorf("%s gave %s, not %s", id, got, want)
				}
				if run != nil && run.Created() != (got == "new") {
					t.Errorf("%s: it gave %s, and says created: %t", id, got, run.Created())
				}
				if got == "new" {
					result(b, run)
				} else if s := b.state(e, id); s.RunID != before {
					t.Errorf("%s: the latest run is another one", id)
				}
			}
		}
		if _, err := lambdabiz.Start(b.ctx, e, ends, "x", "", lambdabiz.OnUsedID(99)); err == nil {
			t.Error("a policy that is none is accepted")
		}
	})
}

func TestConcurrentStartersGetTheSameRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, starter int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { calls.Add(1); return starter, nil })
		})
		e, _ := b.worker(d)
		client := b.engine(lambdabiz.Config{}, d)
		var mu sync.Mutex
		runs, results, created := map[string]int{}, map[int]int{}, 0
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				engine := e
				if i%2 == 0 {
					engine = client
				}
				run, err := lambdabiz.Start(b.ctx, engine, d, "x", i)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := run.Result(b.ctx)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if runs[run.RunID()]++; run.Created() {
					created++
				}
				results[got]++
			})
		}
		wg.Wait()
		if len(runs) != 1 || len(results) != 1 || calls.Load() != 1 || created != 1 {
			t.Errorf("runs %v, results %v, %d calls, %d starters created it", runs, results, calls.Load(), created)
		}
	}, keepsClaims(countsBodies))
}

func TestDeadlineAndTagsAreInTheState(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		tags := map[string]string{"customer": "7", "empty": ""}
		began := time.Now()
		run := start(b, e, ends, "x", "never", lambdabiz.Tags(tags), lambdabiz.Deadline(time.Hour))
		tags["customer"] = "8" // they are copied
		start(b, e, ends, "x", "other", lambdabiz.Tags(tags), lambdabiz.Deadline(time.Minute))
		s := b.state(e, "x")
		if s.RunID != run.RunID() || fmt.Sprint(s.Tags) != "map[customer:7 empty:]" || string(s.Input) != `"never"` {
			t.Errorf("state is %+v", s.RunInfo)
		}
		if got := s.Deadline.Sub(began); got < time.Hour || got > time.Hour+time.Second {
			t.Errorf("the deadline is %v after the start", got)
		}
		if s.Status != lambdabiz.StatusScheduled || s.ScheduledAt.IsZero() || !s.StartedAt.IsZero() || len(s.Operations) != 0 {
			t.Errorf("state is %+v", s)
		}
	}, oneClock(comparesClocks))
}

func TestClientStartsWhatOnlyWorkersKnow(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		client := b.engine(lambdabiz.Config{}) // knows no definition
		run := start(b, client, ends, "before the worker", "SUCCEEDED")
		b.worker(ends)
		if got := result(b, run); got != "SUCCEEDED" {
			t.Errorf("result is %q", got)
		}
		if got := result(b, start(b, client, ends, "with the worker", "SUCCEEDED")); got != "SUCCEEDED" {
			t.Errorf("result is %q", got)
		}
		byName, err := client.StartByName(b.ctx, "Ends", "by name", "SUCCEEDED")
		if err != nil {
			t.Fatal(err)
		}
		if got := result(b, byName); string(got) != `"SUCCEEDED"` {
			t.Errorf("result is %s", got)
		}
		raw, err := client.StartByName(b.ctx, "Ends", "by name", lambdabiz.Payload(`"ignored"`))
		if err != nil || raw.RunID() != byName.RunID() {
			t.Errorf("another start is of another run: %v", err)
		}
		if raw, err = client.StartByName(b.ctx, "Ends", "raw", lambdabiz.Payload(`"SUCCEEDED"`)); err != nil {
			t.Fatal(err)
		}
		result(b, raw)
		if _, err := client.StartByName(b.ctx, "Ends", "bad", lambdabiz.Payload(`{`)); !errors.Is(err, lambdabiz.ErrInvalidPayload) {
			t.Errorf("a payload that is no JSON gave %v", err)
		}
	})
}

func TestResultOfAPausedOrBlockedRunIsWaitedFor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var fixed atomic.Bool
		d := lambdabiz.Define("D", func(o lambdabiz.Context, pause bool) (int, error) {
			if !pause && !fixed.Load() {
				panic("a mistake")
			}
			_, err := lambdabiz.WaitForEvent[bool](o, "go")
			return 1, err
		})
		e, _ := b.worker(d)
		paused, blocked := start(b, e, d, "paused", true), start(b, e, d, "blocked", false)
		b.settle()
		if err := e.Pause(b.ctx, "paused", ""); err != nil {
			t.Fatal(err)
		}
		for _, run := range []*lambdabiz.Run[int]{paused, blocked} {
			raise(b, e, run.ID(), "go", true)
			ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
			if _, err := run.Result(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the result of the %s run is %v", run.ID(), err)
			}
			cancel()
			if s := b.state(e, run.ID()); s.Status != lambdabiz.StatusStarted {
				t.Errorf("the %s run is %v", run.ID(), s.Status)
			}
		}
		fixed.Store(true)
		if err := e.Resume(b.ctx, "paused"); err != nil {
			t.Fatal(err)
		}
		if result(b, paused)+result(b, blocked) != 2 {
			t.Error("they did not go on")
		}
	})
}

func TestWhatIsNotThereIsErrNotFound(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(ends)
		start(b, e, ends, "x", "SUCCEEDED")
		checks := map[string]func() error{
			"Result":    func() error { _, err := lambdabiz.Get(e, ends, "no").Result(b.ctx); return err },
			"State":     func() error { _, err := e.State(b.ctx, "no"); return err },
			"StateOf":   func() error { _, err := e.StateOf(b.ctx, "x", "no"); return err },
			"Raise":     func() error { return e.RaiseEvent(b.ctx, "no", "E", 1) },
			"Cancel":    func() error { return e.Cancel(b.ctx, "no", "") },
			"Terminate": func() error { return e.Terminate(b.ctx, "no", "") },
			"Pause":     func() error { return e.Pause(b.ctx, "no", "") },
			"Resume":    func() error { return e.Resume(b.ctx, "no") },
			"Purge":     func() error { return e.Purge(b.ctx, "no") },
		}
		for name, check := range checks {
			err := check()
			if !errors.Is(err, lambdabiz.ErrNotFound) ||
				!strings.Contains(err.Error(), "orchestration no") && name != "StateOf" {
				t.Errorf("%s gave %v", name, err)
			}
		}
	})
}

func TestIDThatBelongsToAnotherDefinitionIsErrExists(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(echo, ends)
		for _, state := range []string{"STARTED", "SUCCEEDED"} {
			before := bring(b, e, state, state)
			for policy := range lambdabiz.RestartFailed + 1 {
				if _, err := lambdabiz.Start(b.ctx, e, echo, state, 1, lambdabiz.OnUsedID(policy)); !errors.Is(err, lambdabiz.ErrExists) {
					t.Errorf("%s, policy %d: a start under another name gave %v", state, policy, err)
				}
			}
			if s := b.state(e, state); s.RunID != before || s.Name != "Ends" {
				t.Errorf("the run is %+v", s.RunInfo)
			}
		}
	})
}

// A start of unknown outcome was refused when it came again, if its run had continued as another one meanwhile.
// Row 63 of docs/proof/bugs.md.
func TestAStartThatComesTwiceAfterItsRunHasContinuedIsItsOwn(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && len(batch[0].Starts) > 0 && lose {
				lose = false
				time.Sleep(time.Minute) // it continues meanwhile
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		client := b.engine(lambdabiz.Config{})
		b.backend = inner
		d := lambdabiz.Define("D", func(o lambdabiz.Context, round int) (int, error) {
			if round < 2 {
				return 0, lambdabiz.ContinueAsNew(o, round+1)
			}
			return round, lambdabiz.Sleep(o, "s", 2*time.Minute)
		})
		b.worker(d)
		run := start(b, client, d, "x", 0, lambdabiz.OnUsedID(lambdabiz.RejectExisting))
		if got := result(b, run); got != 2 {
			t.Errorf("result is %d", got)
		}
	}, "memory", "memory, a commit ends the claim", "sqlite", "postgres")
}
