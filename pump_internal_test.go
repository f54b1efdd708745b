package lambdabiz

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A run was parked between the ring of its alarm and the commit of the time-out: the branch that waited was told
// of it as the run left, and nothing woke the run again.
func TestParkingAfterATimeOutThatIsNotCommitted(t *testing.T) {
	e, err := New(noBackend{}, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e.accepting = true
	d := Define("D", func(o Context, _ int) (int, error) {
		return WaitForEvent[int](o, "e", Timeout(time.Hour))
	})
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan *run)
	go func() {
		r := e.adopt(&Claimed{Ref: RunRef{ID: "x", RunID: "r", Fence: 1}, Record: Record{
			RunInfo: RunInfo{ID: "x", RunID: "r", Name: "D", Input: Payload("1")},
		}}, 0, false)
		r.mu.Lock()
		for r.committing || r.active > 0 || r.durable == 0 {
			r.await(&r.moved)
		}
		waiting <- r // locked
	}()
	r := <-waiting
	r.fire(now().Add(2 * time.Hour)) // the process was frozen as the idle list had chosen the run
	r.mu.Unlock()                    // and not by unlock: the engine is told nothing of what has changed
	r.park()
	select {
	case <-r.submitter.done:
	case <-t.Context().Done():
	}
	if r.outcome == nil {
		t.Errorf("it has left with %v, and does not end", r.cause)
	}
}

// Code that is to stop, and comes to nothing recorded any more, was looked at no more while its store did not answer.
func TestCodeThatIsToStopIsLookedAtDuringACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := New(noBackend{}, Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(t.Context(), &e.env, e.registry, &Claimed{
			Ref: RunRef{ID: "x", RunID: "r", Fence: 1},
			Record: Record{RunInfo: RunInfo{ID: "x", RunID: "r"}, Operations: []Operation{
				{ID: "a", Number: 1, Kind: KindStep, Status: StatusSucceeded},
				{ID: "b", Number: 2, Kind: KindStep, Status: StatusSucceeded},
			}},
		})
		r.mu.Lock()
		r.cancel.begin(ErrCancelled)
		r.unlock()
		r.mu.Lock()
		r.committing = true
		r.cancel.visit(r.root, r.record.get("a")) // it has come further when it is looked at first
		r.unlock()
		time.Sleep(2*stillFor + time.Second)
		r.mu.Lock()
		defer r.unlock()
		if !r.root.told {
			t.Error("it is not told to stop")
		}
	})
}
