package homes_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// approve waits for a yes or no.
var approve = lambdabiz.Define("Approve", func(o lambdabiz.Context, _ int) (string, error) {
	yes, err := lambdabiz.WaitForEvent[bool](o, "Answer")
	return fmt.Sprint(yes), err
})

// cannotRead wants the run to be blocked by an event, which is still there, and returns its number.
func cannotRead(b *bench, e *lambdabiz.Engine, id string, events int) int64 {
	b.t.Helper()
	b.settle()
	s := b.state(e, id)
	if s.Blocked == nil || s.Blocked.Operation != "Answer" || !strings.Contains(s.Blocked.Source, "drop_test.go:") {
		b.t.Fatalf("it is not blocked at its wait: %+v", s.Blocked)
	}
	if len(s.Events) != events || string(s.Events[0].Payload) != `"perhaps"` || len(s.WaitingFor) != 1 {
		b.t.Fatalf("it has the events %+v and waits for %+v", s.Events, s.WaitingFor)
	}
	for _, part := range []string{fmt.Sprintf("event %d", s.Events[0].Number), `"Answer"`, "bool"} {
		if !strings.Contains(s.Blocked.Reason, part) {
			b.t.Errorf("the reason %q does not say %q", s.Blocked.Reason, part)
		}
	}
	return s.Events[0].Number
}

// An event that the code cannot read is not taken: it blocks the run until somebody drops it, and the next one
// comes to its turn.
// Row 54 of docs/proof/bugs.md.
func TestAnEventThatTheCodeCannotReadIsDropped(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, id := range []string{"early", "late"} {
			e := b.engine(lambdabiz.Config{}, approve)
			run := start(b, e, approve, id, 0)
			stop := func() {}
			if id == "late" { // the wait is there first
				e, stop = b.worker(approve)
				b.settle()
			}
			raise(b, e, id, "Answer", "perhaps")
			if id == "early" {
				e, stop = b.worker(approve)
			}
			cannotRead(b, e, id, 1)
			raise(b, e, id, "Answer", true)
			number := cannotRead(b, e, id, 2)
			if err := e.DropEvent(b.ctx, id, number); err != nil {
				t.Fatal(err)
			}
			if got := result(b, lambdabiz.Get(e, approve, run.ID())); got != "true" {
				t.Errorf("%s: the answer is %s", id, got)
			}
			s := b.state(e, id)
			if len(s.Events) != 0 || s.Blocked != nil || len(s.Operations) != 1 {
				t.Errorf("%s: left are %+v", id, s)
			}
			stop()
		}
	})
}

// The retry of a blocked run comes to a wait that is recorded and an event that is there: it took the event before it
// was known what reads it.
// Row 56 of docs/proof/bugs.md.
func TestAnEventThatTheCodeCannotReadIsNotTakenByTheRetry(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(approve)
		run := start(b, e, approve, "a", 0)
		b.settle()
		raise(b, e, "a", "Answer", "perhaps")
		cannotRead(b, e, "a", 1)
		time.Sleep(time.Minute)
		number := cannotRead(b, e, "a", 1)
		if s := b.state(e, "a"); s.Blocked.Times < 3 {
			t.Errorf("it was tried %d times", s.Blocked.Times)
		}
		raise(b, e, "a", "Answer", true)
		if err := e.DropEvent(b.ctx, "a", number); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != "true" {
			t.Errorf("the answer is %s", got)
		}
	})
}

// Nor is it taken by a wait that was recorded by an earlier pass of the code.
func TestAnEventThatTheCodeCannotReadIsNotTakenByARecordedWait(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, stop := b.worker(approve)
		run := start(b, e, approve, "a", 0)
		b.settle()
		stop()
		raise(b, b.engine(lambdabiz.Config{}), "a", "Answer", "perhaps")
		e, stop = b.worker(approve)
		defer stop()
		number := cannotRead(b, e, "a", 1)
		raise(b, e, "a", "Answer", true)
		if err := e.DropEvent(b.ctx, "a", number); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != "true" {
			t.Errorf("the answer is %s", got)
		}
	})
}

// Code that can read it takes it.
func TestAnEventThatTheCodeCannotReadWaitsForOtherCode(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, stop := b.worker(approve)
		start(b, e, approve, "a", 0)
		raise(b, e, "a", "Answer", "perhaps")
		cannotRead(b, e, "a", 1)
		stop()
		fixed := lambdabiz.Define("Approve", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "Answer")
		})
		e, _ = b.workerWith(lambdabiz.Config{Version: "2"}, fixed)
		if got := result(b, lambdabiz.Get(e, fixed, "a")); got != "perhaps" {
			t.Errorf("the answer is %s", got)
		}
	})
}

func TestDropEventOfWhatNobodyWaitsFor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, stop := b.worker(collect)
		run := start(b, e, collect, "c", 2)
		b.settle()
		raise(b, e, "c", "other", 1)
		raise(b, e, "c", "E", "1")
		b.settle()
		events := b.state(e, "c").Events
		if len(events) != 1 || events[0].Name != "other" {
			t.Fatalf("the events are %+v", events)
		}
		number := events[0].Number
		if err := e.DropEvent(b.ctx, "c", number); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // a home may show it late
		if events := b.state(e, "c").Events; len(events) != 0 {
			t.Errorf("after the drop the events are %+v", events)
		}
		b.settle()
		for _, wrong := range []struct {
			id     string
			number int64
		}{{"c", number}, {"c", -1}, {"nobody", 1}} {
			err := e.DropEvent(b.ctx, wrong.id, wrong.number)
			if !errors.Is(err, lambdabiz.ErrNotFound) || !strings.Contains(err.Error(), fmt.Sprint(wrong.number)) {
				t.Errorf("drop event %d of %s: %v", wrong.number, wrong.id, err)
			}
		}
		raise(b, e, "c", "E", "2")
		if got := strings.Join(result(b, run), ""); got != "12" {
			t.Errorf("events came as %s", got)
		}
		if err := e.DropEvent(b.ctx, "c", number); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		stop()
	})
}

// An event that a paused run has is dropped, and the run stays paused.
func TestDropEventOfAPausedRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(approve)
		run := start(b, e, approve, "a", 0)
		b.settle()
		if err := e.Pause(b.ctx, "a", ""); err != nil {
			t.Fatal(err)
		}
		b.settle()
		raise(b, e, "a", "Answer", "perhaps")
		raise(b, e, "a", "Answer", false)
		time.Sleep(10 * time.Second)
		events := b.state(e, "a").Events
		if err := e.DropEvent(b.ctx, "a", events[0].Number); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if s := b.state(e, "a"); !s.Paused || len(s.Events) != 1 || s.Events[0].Number != events[1].Number {
			t.Errorf("paused %t, the events are %+v", s.Paused, s.Events)
		}
		if err := e.Resume(b.ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != "false" {
			t.Errorf("the answer is %s", got)
		}
	})
}

func TestByHandAnEventThatTheCodeCannotReadIsABlockedError(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		o := byHand(b, b.ctx, e, "a")
		if err := e.RaiseEvent(b.ctx, "a", "Answer", "perhaps"); err != nil {
			t.Fatal(err)
		}
		_, err := lambdabiz.WaitForEvent[bool](o, "Answer")
		blocked, ok := errors.AsType[*lambdabiz.BlockedError](err)
		if !ok || blocked.Blocked.Operation != "Answer" {
			t.Fatalf("the wait ends with %v", err)
		}
		events := b.state(e, "a").Events
		if len(events) != 1 {
			t.Fatalf("the events are %+v", events)
		}
		if err := e.DropEvent(b.ctx, "a", events[0].Number); err != nil {
			t.Fatal(err)
		}
		raise(b, e, "a", "Answer", true)
		o = byHand(b, b.ctx, e, "a")
		if yes, err := lambdabiz.WaitForEvent[bool](o, "Answer"); err != nil || !yes {
			t.Errorf("the answer is %t, %v", yes, err)
		}
		if err := o.Complete("done"); err != nil {
			t.Error(err)
		}
	}, keepsEnds())
}

// An event is dropped after a branch has taken it, and before that is recorded: then the branch loses its race. The
// event came back, though its removal had been acknowledged.
// Row 59 of docs/proof/bugs.md.
func TestADroppedEventDoesNotComeBackFromALoser(t *testing.T) {
	d := lambdabiz.Define("Dropped", func(o lambdabiz.Context, _ int) (string, error) {
		first := lambdabiz.Go(o, "first", func(o lambdabiz.Context) (letter, error) {
			return lambdabiz.WaitForEvent[letter](o, "E")
		})
		second := lambdabiz.Go(o, "second", func(o lambdabiz.Context) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "F")
		})
		if winner, err := lambdabiz.Race(o, "race", first, second); err != nil || winner != 0 {
			return "", errors.Join(errors.New("the second event has won"), err)
		}
		return lambdabiz.WaitForEvent[string](o, "F", lambdabiz.Timeout(time.Minute))
	})
	const why = "there nothing comes in before its code waits"
	everywhere(t, func(t *testing.T, b *bench) {
		onReading(b, func(int) error { time.Sleep(3 * time.Millisecond); return nil })
		b.well()
		e, _ := b.worker(d)
		run := start(b, e, d, "a", 0)
		time.Sleep(time.Second)
		mail(b, e, "a", "E", 1)
		time.Sleep(time.Millisecond)
		raise(b, e, "a", "F", "dropped")
		synctest.Wait() // the second branch has it
		events := b.state(e, "a").Events
		if len(events) != 2 {
			t.Fatalf("the events are %+v", events)
		}
		if err := e.DropEvent(b.ctx, "a", events[1].Number); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // an event that the code takes before it hears of that stays taken
		b.ill()
		got, err := run.Result(b.ctx)
		if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); !late {
			t.Errorf("%q, %v", got, err)
		}
	}, notOnSWF(why), exception{"memory, a commit ends the claim", why}, exception{"memory, and performs timers", why})
}
