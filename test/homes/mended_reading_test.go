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
	}, bears(5, countsTime))
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
	}, bears(20, countsTime))
}

// While an event is read it is dropped, and its run cancelled, timed out or stopped.
func TestAnEventThatIsDroppedWhileItIsRead(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, then := range []string{"next", "timeout", "cancel", "stop"} {
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
			b.settle()
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
	}, notOnSWF("its copy does not show an event while it is read"), bears(20, countsTime))
}

// Reading may call the engine, and panic.
func TestReadingAnEventCallsTheEngineAndPanics(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
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
		b.settle()
		mail(b, e, "a", "E", 1)
		b.settle()
		time.Sleep(900 * time.Millisecond)
		if s := b.state(e, "a"); s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "cannot be read") {
			t.Errorf("blocked is %+v", s.Blocked)
		}
		if got := result(b, run); got != 2 {
			t.Errorf("it read %d", got)
		}
	}, bears(0, onePass))
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
		bears(0, countsBodies))
}

// A blocked run that is resumed, or whose event is dropped, while it is being tried again is tried again at once: on SWF
// the answer that blocks it came after the request, and it waited for its next retry.
func TestAResumeOfABlockedRunThatIsBeingTriedIsHeard(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, ask := range []string{"resume", "drop"} {
			var armed atomic.Bool
			var reads atomic.Int32
			reading, goOn := make(chan struct{}), make(chan struct{})
			onReading(b, func(n int) error {
				if n == 2 {
					return nil
				}
				reads.Add(1)
				if armed.CompareAndSwap(true, false) {
					close(reading)
					<-goOn
				}
				return errors.New("no letter")
			})
			e, stop := b.worker(readLetter)
			run := start(b, e, readLetter, ask, 0)
			b.settle()
			mail(b, e, ask, "E", 1)
			mail(b, e, ask, "E", 2)
			time.Sleep(20 * time.Minute) // its retries are minutes apart
			s := b.state(e, ask)
			if s.Blocked == nil || len(s.Events) != 2 {
				t.Fatalf("%s: it is %+v", ask, s)
			}
			armed.Store(true)
			<-reading
			var err error
			if ask == "drop" {
				err = e.DropEvent(b.ctx, ask, s.Events[0].Number)
			} else {
				err = e.Resume(b.ctx, ask)
			}
			if err != nil {
				t.Fatal(err)
			}
			asked, before := time.Now(), reads.Load()
			close(goOn)
			if ask == "resume" {
				time.Sleep(10 * time.Second)
				if reads.Load() == before {
					t.Errorf("%s: it was not tried again", ask)
				}
				if err := e.DropEvent(b.ctx, ask, s.Events[0].Number); err != nil {
					t.Fatal(err)
				}
			}
			if got := result(b, run); got != 2 || time.Since(asked) > 20*time.Second {
				t.Errorf("%s: it read %d, %v later", ask, got, time.Since(asked))
			}
			stop()
		}
	}, bears(0, countsTime), oneClock(onlySender))
}

// An event is dropped after a branch has taken it, and before that is recorded: then the branch loses its race. The
// event came back, though its removal had been acknowledged.
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
		got, err := run.Result(b.ctx)
		if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); !late {
			t.Errorf("%q, %v", got, err)
		}
	}, notOnSWF(why), exception{"memory, a commit ends the claim", why}, exception{"memory, and performs timers", why},
		bears(0, countsTime))
}

// The function returned while a branch read an event: when the claim would have ended, the watch on the reading looked
// for a wait that was over, and the process died.
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
	}, bears(0, countsTime))
}

// A blocked run that showed its progress on the way to its mistake began its backoff anew each time: it was tried every
// second, for ever.
func TestABlockedRunThatShowsProgressBacksOff(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var tries atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.SetProgress(o, tries.Add(1)); err != nil {
				return 0, err
			}
			time.Sleep(time.Second) // it computes, and its progress is written
			panic("a mistake")
		})
		e, _ := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(10 * time.Minute)
		if s := b.state(e, "x"); s.Blocked == nil || s.Blocked.Times < 5 || tries.Load() > 15 {
			t.Errorf("it was tried %d times, and is blocked: %+v", tries.Load(), s.Blocked)
		}
	}, bears(20, countsTime))
}
