package model_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// factory is a worker with room for so many orchestrations, on a store that tells of every change once. Each of them has a
// body, waits for an event, and has another body. The worker never looks by itself, and time does not pass: what it does not
// claim when it is told, or when there is room, it never claims.
type factory struct {
	lambdabiz.Backend
	room   int
	client *lambdabiz.Engine
	wake   chan struct{}

	mu      sync.Mutex
	keeping bool          // the next answer to a claim is kept
	answer  chan struct{} // closed to hand it out; nil if none is kept
	bodies  []chan struct{}
	over    bool // bodies return at once
	faults  []string

	started, raised, late int
}

func (f *factory) Wake() <-chan struct{} { return f.wake }

func (f *factory) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	f.mu.Lock()
	if r.Limit > 0 && len(f.bodies)+r.Limit > f.room {
		f.faults = append(f.faults, fmt.Sprintf("it asks for %d, and %d bodies run", r.Limit, len(f.bodies)))
	}
	claims, err := f.Backend.Claim(ctx, r)
	var answer chan struct{}
	if f.keeping {
		f.keeping, f.answer = false, make(chan struct{})
		answer = f.answer
	}
	f.mu.Unlock()
	if answer != nil {
		<-answer
	}
	return claims, err
}

// tell tells the worker that something has changed.
func (f *factory) tell() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// body runs until it is told to return.
func (f *factory) body(context.Context) (int, error) {
	end := make(chan struct{})
	f.mu.Lock()
	f.bodies = append(f.bodies, end)
	over := f.over
	f.mu.Unlock()
	if !over {
		<-end
	}
	return 1, nil
}

func (f *factory) definition() *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Part", func(o lambdabiz.Context, _ int) (int, error) {
		if _, err := lambdabiz.Step(o, "first", f.body); err != nil {
			return 0, err
		}
		if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
			return 0, err
		}
		return lambdabiz.Step(o, "second", f.body)
	})
}

// happenings is what may happen to a factory that stands still.
var happenings = []struct {
	name     string
	possible func(f *factory) bool
	do       func(t *testing.T, f *factory)
}{
	{"start", func(f *factory) bool { return f.started < 3 },
		func(t *testing.T, f *factory) { f.start(t) }},
	{"return", func(f *factory) bool { return len(f.bodies) > 0 },
		func(_ *testing.T, f *factory) {
			f.mu.Lock()
			defer f.mu.Unlock()
			close(f.bodies[0])
			f.bodies = f.bodies[1:]
		}},
	{"event", func(f *factory) bool { return f.raised < f.started && f.raised < 2 },
		func(t *testing.T, f *factory) {
			if err := f.client.RaiseEvent(t.Context(), fmt.Sprint("part-", f.raised), "go", 1); err != nil {
				t.Fatal(err)
			}
			f.raised++
			f.tell()
		}},
	{"start, and the answer to the claim is on its way", func(f *factory) bool { return f.started < 3 && f.late < 2 && f.answer == nil },
		func(t *testing.T, f *factory) {
			f.late++
			f.mu.Lock()
			f.keeping = true
			f.mu.Unlock()
			f.start(t)
		}},
	{"answer", func(f *factory) bool { return f.answer != nil },
		func(_ *testing.T, f *factory) { f.handOut() }},
}

func (f *factory) start(t *testing.T) {
	t.Helper()
	if _, err := f.client.StartByName(t.Context(), "Part", fmt.Sprint("part-", f.started), f.started); err != nil {
		t.Fatal(err)
	}
	f.started++
	f.tell()
}

func (f *factory) handOut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.answer)
	f.answer = nil
}

// finish lets all bodies return, and those to come.
func (f *factory) finish() {
	if f.answer != nil {
		f.handOut()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for _, end := range f.bodies {
		close(end)
	}
}

// look says what is wrong with a factory that stands still.
func (f *factory) look(t *testing.T) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answer != nil || len(f.faults) > 0 {
		return strings.Join(f.faults, "; ")
	}
	for i := range f.started {
		rec, err := f.Load(t.Context(), fmt.Sprint("part-", i), "")
		if err != nil {
			t.Fatal(err)
		}
		if rec.Worker == 0 && !rec.Status.Ended() && len(f.bodies) < f.room {
			return fmt.Sprintf("%s is due, %d bodies run, and nobody claims it", rec.ID, len(f.bodies))
		}
	}
	return ""
}

// play lets things happen to a new factory. It returns what may happen next, or what is wrong.
func play(t *testing.T, room int, schedule []int) (next []int, complaint string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &factory{Backend: memory.New(), room: room, wake: make(chan struct{}, 1)}
		quiet := slog.New(slog.DiscardHandler)
		worker, err := lambdabiz.New(f, lambdabiz.Config{Logger: quiet, PollInterval: -1, MaxActive: room, Version: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if f.client, err = lambdabiz.New(f.Backend, lambdabiz.Config{Logger: quiet, PollInterval: -1}); err != nil {
			t.Fatal(err)
		}
		if err := worker.Register(f.definition()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		synctest.Wait()
		for _, at := range schedule {
			happenings[at].do(t, f)
			synctest.Wait()
			if complaint = f.look(t); complaint != "" {
				break
			}
		}
		for i, h := range happenings {
			if h.possible(f) {
				next = append(next, i)
			}
		}
		f.finish()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return next, complaint
}

// A worker that had no room for what was due claims it when there is room, whatever happens in between, and never more than
// there is room for.
func TestWhatFoundNoRoomIsClaimedWhenThereIsSome(t *testing.T) {
	t.Parallel()
	const steps = 6
	for room := 1; room <= 2; room++ {
		played := 0
		var from func(schedule []int)
		from = func(schedule []int) {
			next, complaint := play(t, room, schedule)
			played++
			if complaint != "" {
				names := make([]string, len(schedule))
				for i, at := range schedule {
					names[i] = happenings[at].name
				}
				t.Errorf("%s%s\nwith room for %d, after: %s", brokenWord, complaint, room, strings.Join(names, "; "))
			}
			if t.Failed() || len(schedule) == steps {
				return
			}
			for _, at := range next {
				if from(append(slices.Clone(schedule), at)); t.Failed() {
					return
				}
			}
		}
		from(nil)
		t.Logf("room for %d: %d schedules", room, played)
	}
}
