package homes_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// letter is a payload whose reading calls a function of the test's, by the name of the test.
type letter struct {
	Test string
	N    int
}

var readers sync.Map

func (l *letter) UnmarshalJSON(text []byte) error {
	type plain letter
	if err := json.Unmarshal(text, (*plain)(l)); err != nil {
		return err
	}
	if f, ok := readers.Load(l.Test); ok {
		return f.(func(n int) error)(l.N)
	}
	return nil
}

// mail raises an event whose reading calls f.
func mail(b *bench, e *lambdabiz.Engine, id, event string, n int) {
	b.t.Helper()
	raise(b, e, id, event, map[string]any{"Test": b.t.Name(), "N": n})
}

func onReading(b *bench, f func(n int) error) {
	readers.Store(b.t.Name(), f)
	b.t.Cleanup(func() { readers.Delete(b.t.Name()) })
}

// readLetter waits for a letter beside another branch.
var readLetter = lambdabiz.Define("ReadLetter", func(o lambdabiz.Context, _ int) (int, error) {
	timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) {
		return 0, lambdabiz.Sleep(o, "s", 10*time.Second)
	})
	l, err := lambdabiz.WaitForEvent[letter](o, "E", lambdabiz.Timeout(time.Minute))
	if err != nil {
		return 0, err
	}
	_, err = timer.Wait(o)
	return l.N, err
})

// A payload that takes long to be read was read under the run's lock, by whoever brought it: the worker took nothing
// in meanwhile, and virtual time stood still.
// Row 57 of docs/proof/bugs.md.
func TestAnEventThatTakesLongToReadHoldsNobodyUp(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		onReading(b, func(int) error { time.Sleep(20 * time.Second); return nil })
		e, _ := b.worker(readLetter, approve)
		run := start(b, e, readLetter, "a", 0)
		b.settle()
		mail(b, e, "a", "E", 7)
		began := time.Now()
		other := start(b, e, approve, "other", 0)
		raise(b, e, "other", "Answer", true)
		if result(b, other); time.Since(began) > 10*time.Second {
			t.Errorf("another orchestration took %v", time.Since(began))
		}
		if got := result(b, run); got != 7 || time.Since(began) < 20*time.Second {
			t.Errorf("it read %d after %v", got, time.Since(began))
		}
	}, keepsClaims(countsTime))
}

// What arrived in time wins, however long it takes to be read.
func TestAnEventThatIsReadBeyondTheDeadlineWinsOverTheTimeout(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		onReading(b, func(int) error { time.Sleep(20 * time.Second); return nil })
		e, _ := b.worker(readLetter)
		run := start(b, e, readLetter, "a", 0)
		time.Sleep(50 * time.Second)
		mail(b, e, "a", "E", 7)
		if got := result(b, run); got != 7 {
			t.Errorf("it read %d", got)
		}
	}, keepsClaims(countsTime))
}

// While an event is read it is dropped, and its run cancelled, timed out or stopped.
func TestAnEventThatIsDroppedWhileItIsRead(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, then := range []string{"next", "timeout", "cancel", "stop"} {
			b.well()
			reading := make(chan struct{})
			onReading(b, func(n int) error {
				if n == 1 {
					close(reading)
					time.Sleep(25 * time.Second)
				}
				return nil
			})
			e, stop := b.worker(readLetter)
			run := start(b, e, readLetter, then, 0)
			synctest.Wait()
			mail(b, e, then, "E", 1)
			<-reading
			events := b.state(e, then).Events
			if len(events) != 1 {
				t.Fatalf("%s: while it is read the events are %+v", then, events)
			}
			if err := e.DropEvent(b.ctx, then, events[0].Number); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			switch then {
			case "next":
				mail(b, e, then, "E", 2)
			case "cancel":
				if err := e.Cancel(b.ctx, then, ""); err != nil {
					t.Fatal(err)
				}
			case "stop":
				stop()
				e, stop = b.worker(readLetter)
				run = lambdabiz.Get(e, readLetter, then)
				mail(b, e, then, "E", 2)
			}
			b.ill()
			got, err := run.Result(b.ctx)
			_, late := errors.AsType[*lambdabiz.EventTimeoutError](err)
			switch then {
			case "timeout":
				if !late {
					t.Errorf("%s: %d, %v", then, got, err)
				}
			case "cancel":
				if !errors.Is(err, lambdabiz.ErrCancelled) {
					t.Errorf("%s: %d, %v", then, got, err)
				}
			default:
				if got != 2 || err != nil {
					t.Errorf("%s: %d, %v", then, got, err)
				}
			}
			if events := b.state(e, then).Events; len(events) != 0 {
				t.Errorf("%s: left are %+v", then, events)
			}
			stop()
			time.Sleep(time.Minute) // the reader ends
		}
	}, notOnSWF("its copy does not show an event while it is read"))
}

// Reading may call the engine, and panic.
func TestReadingAnEventCallsTheEngineAndPanics(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.well()
		e, _ := b.worker(readLetter)
		times := 0
		onReading(b, func(n int) error {
			if times++; n == 2 {
				return nil
			}
			s, err := e.State(b.ctx, "a")
			if err != nil || len(s.Events) == 0 {
				return errors.New("not shown yet")
			}
			if times > 3 {
				if err := e.DropEvent(b.ctx, "a", s.Events[0].Number); err != nil {
					t.Error(err)
				}
				mail(b, e, "a", "E", 2)
			}
			panic("no letter")
		})
		run := start(b, e, readLetter, "a", 0)
		synctest.Wait()
		mail(b, e, "a", "E", 1)
		synctest.Wait()
		time.Sleep(900 * time.Millisecond)
		if s := b.state(e, "a"); s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "cannot be read") {
			t.Errorf("blocked is %+v", s.Blocked)
		}
		b.ill()
		if got := result(b, run); got != 2 {
			t.Errorf("it read %d", got)
		}
	})
}

// An event that is read while the function ends was not taken: the next run has it.
func TestAnEventThatIsReadWhileTheRunContinuesAsNew(t *testing.T) {
	d := lambdabiz.Define("Continues", func(o lambdabiz.Context, round int) (int, error) {
		if round == 1 {
			l, err := lambdabiz.WaitForEvent[letter](o, "E")
			return l.N, err
		}
		lambdabiz.Go(o, "reader", func(o lambdabiz.Context) (letter, error) {
			return lambdabiz.WaitForEvent[letter](o, "E")
		})
		if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil {
			return 0, err
		}
		return 0, lambdabiz.ContinueAsNew(o, 1)
	})
	const why = "there nothing comes in before its code waits"
	everywhere(t, func(t *testing.T, b *bench) {
		var reads atomic.Int32
		onReading(b, func(int) error { reads.Add(1); time.Sleep(15 * time.Second); return nil })
		e, _ := b.worker(d)
		run := start(b, e, d, "a", 0)
		time.Sleep(50 * time.Second)
		mail(b, e, "a", "E", 7)
		if got := result(b, run); got != 7 || reads.Load() != 2 {
			t.Errorf("it is %d, read %d times", got, reads.Load())
		}
	}, notOnSWF(why), exception{"memory, a commit ends the claim", why}, exception{"memory, and performs timers", why},
		keepsClaims(countsBodies))
}

// The function returned while a branch read an event: when the claim would have ended, the watch on the reading looked
// for a wait that was over, and the process died.
// Row 159 of docs/proof/bugs.md.
func TestAFunctionThatReturnsWhileAnEventIsReadHarmsNobodyLater(t *testing.T) {
	d := lambdabiz.Define("Returns", func(o lambdabiz.Context, _ int) (int, error) {
		lambdabiz.Go(o, "reader", func(o lambdabiz.Context) (letter, error) {
			return lambdabiz.WaitForEvent[letter](o, "E")
		})
		l, err := lambdabiz.WaitForEvent[letter](o, "F")
		return l.N, err
	})
	everywhere(t, func(t *testing.T, b *bench) {
		reading := make(chan struct{})
		began := sync.OnceFunc(func() { close(reading) })
		onReading(b, func(n int) error {
			if n == 1 {
				<-reading // the other one is being read
				return nil
			}
			began()
			time.Sleep(20 * time.Minute)
			return nil
		})
		e, stop := b.worker(d)
		start(b, e, d, "a", 0)
		time.Sleep(time.Minute)
		stop()
		mail(b, e, "a", "E", 7)
		mail(b, e, "a", "F", 1)
		e, _ = b.worker(d) // it gets both at once
		if got := result(b, lambdabiz.Get(e, d, "a")); got != 1 {
			t.Errorf("it returned %d", got)
		}
		time.Sleep(time.Hour)
	})
}

// A race waited for ever for a branch that read an event that may win, where claims have no end.
// Row 181 of docs/proof/bugs.md.
func TestAnEventThatIsNotReadInTimeBlocksTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := define(func(o lambdabiz.Context) (int, error) {
			event := lambdabiz.Go(o, "event", func(o lambdabiz.Context) (int, error) {
				_, err := lambdabiz.WaitForEvent[hanging](o, "Hangs")
				return 0, err
			})
			return lambdabiz.Race(o, "r", event, nap(o, "nap", 10*time.Second))
		})
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		raise(b, e, "x", "Hangs", 1)
		time.Sleep(2 * time.Minute)
		if !b.logged("takes longer") || !b.logged("event_read_test.go:") { // it is tried again, and reads
			t.Error("it is not blocked, or not by its reading")
		}
		// One that is blocked is tried again; it may have come to its end in another pass.
		if err := b.engine(lambdabiz.Config{}).Terminate(b.ctx, "x", ""); err != nil && !errors.Is(err, lambdabiz.ErrClosed) {
			t.Error(err)
		}
		stop()
		time.Sleep(3 * time.Hour) // what is read comes to its end
	}, keepsClaims(countsTime))
}

// hanging takes an hour to be read.
type hanging int

func (h *hanging) UnmarshalJSON([]byte) error {
	time.Sleep(time.Hour)
	return nil
}
