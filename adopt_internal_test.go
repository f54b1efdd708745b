package lambdabiz

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"
)

type noBackend struct{ Backend }

func (noBackend) Describe() Description { return Description{Name: "none"} }

func (noBackend) Commit(_ context.Context, batch []*Commit) ([]Verdict, error) {
	return make([]Verdict, len(batch)), nil
}

// What arrives between the claim and the first moment of the run's goroutine hides what came with the claim.
func TestMessagesThatOvertakeTheStart(t *testing.T) {
	e, err := New(noBackend{}, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e.accepting = true
	got := make(chan []int, 1)
	d := Define("D", func(o Context, _ int) (int, error) {
		a, err := WaitForEvent[int](o, "a", Named("e"))
		if err != nil {
			return 0, err
		}
		b, err := WaitForEvent[int](o, "b", Named("e"))
		got <- []int{a, b}
		return 0, err
	})
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	event := func(n int64, p string) Message {
		return Message{Number: n, Kind: MessageEvent, Name: "e", Payload: Payload(p)}
	}
	c := &Claimed{Ref: RunRef{ID: "x", RunID: "r", Fence: 1}, Record: Record{
		RunInfo: RunInfo{ID: "x", RunID: "r", Name: "D", Input: Payload("1")}, Messages: []Message{event(1, "1")},
	}}
	r := e.adopt(c, 0, false)
	r.mu.Lock()
	r.deliverLocked([]Message{event(2, "2")}) // the worker's next claim was quicker than the goroutine
	r.unlock()
	select {
	case v := <-got:
		if v[0] != 1 || v[1] != 2 {
			t.Errorf("events %v", v)
		}
	case <-time.After(time.Minute):
		t.Error("an event that came with the claim is lost")
	}
}

// An answer to a claim of what this process was before came so late that the run had gone on, and ended, under a later
// claim: it was taken in, and bodies ran again whose results were recorded.
func TestAClaimOfAnEarlierWorkerIsNotTakenIn(t *testing.T) {
	t.Parallel()
	e, err := New(noBackend{}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	e.accepting = true
	var ran atomic.Bool
	d := Define("D", func(Context, int) (int, error) { ran.Store(true); return 1, nil })
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	c := &Claimed{Ref: RunRef{ID: "x", RunID: "r", Fence: 1}, Record: Record{
		RunInfo: RunInfo{ID: "x", RunID: "r", Name: "D", Input: Payload("1")},
	}}
	e.claimsOf(8)
	if r := e.adopt(c, 7, false); r != nil || e.copyOf("r") != nil {
		t.Fatalf("worker 8 runs what was claimed for worker 7: %+v", r)
	}
	if r := e.admit(c, 7, false, nil); r != nil || ran.Load() { // it has begun anew after the look
		t.Fatalf("worker 8 runs what was claimed for worker 7: %+v", r)
	}
	r := e.adopt(c, 8, false)
	<-r.submitter.done
	if !ran.Load() {
		t.Error("worker 8 does not run its own claim")
	}
}
