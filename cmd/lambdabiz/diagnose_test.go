package main

import (
	"context"
	"slices"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// ward is a store in memory of which a test decides everything.
type ward struct {
	states  []*lambdabiz.State
	workers []lambdabiz.WorkerRecord
	second  func(w *ward) // called before the second look at the workers
	looks   int
}

func (w *ward) List(_ context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	var p lambdabiz.Page
	for _, s := range w.states {
		if slices.Contains(f.Status, s.Status) {
			p.Runs = append(p.Runs, s.RunInfo)
		}
	}
	return p, nil
}

func (w *ward) StateOf(_ context.Context, id, _ string) (*lambdabiz.State, error) {
	for _, s := range w.states {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, lambdabiz.ErrNotFound
}

func (w *ward) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) {
	if w.looks++; w.looks == 2 && w.second != nil {
		w.second(w)
	}
	return w.workers, nil
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// open is an open run of N that nobody holds, with what it waits for.
func open(waits ...lambdabiz.Waiting) *lambdabiz.State {
	return &lambdabiz.State{
		RunInfo: lambdabiz.RunInfo{
			ID: "x", Name: "N", RunID: "r", Status: lambdabiz.StatusStarted, ScheduledAt: noon.Add(-time.Hour),
		},
		WaitingFor: waits,
	}
}

func with(s *lambdabiz.State, change func(s *lambdabiz.State)) *lambdabiz.State {
	change(s)
	return s
}

var (
	waitEvent = lambdabiz.Waiting{Operation: "go", Kind: lambdabiz.KindEvent, Name: "go"}
	waitChild = lambdabiz.Waiting{Operation: "part", Kind: lambdabiz.KindChild}
	waitTimer = lambdabiz.Waiting{Operation: "nap", Kind: lambdabiz.KindTimer, Until: noon.Add(time.Hour)}
	waitTask  = lambdabiz.Waiting{Operation: "job", Kind: lambdabiz.KindTask}
)

func wakes(d time.Duration, waits ...lambdabiz.Waiting) *lambdabiz.State {
	return with(open(waits...), func(s *lambdabiz.State) { s.WakeAt = noon.Add(d) })
}

func child(status lambdabiz.Status) *lambdabiz.State {
	return with(open(waitEvent), func(s *lambdabiz.State) { s.ID, s.Status = "x.part", status })
}

func parent() *lambdabiz.State {
	return with(open(waitChild), func(s *lambdabiz.State) {
		s.Operations = []lambdabiz.Operation{{ID: "part", Kind: lambdabiz.KindChild, Target: "x.part"}}
	})
}

func heldBy(worker int64) *lambdabiz.State {
	return with(open(waitTask), func(s *lambdabiz.State) { s.Worker = worker })
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	serving := lambdabiz.WorkerRecord{Number: 1, WorkerInfo: lambdabiz.WorkerInfo{Names: []string{"N"}}}
	other := lambdabiz.WorkerRecord{Number: 2, WorkerInfo: lambdabiz.WorkerInfo{Names: []string{"M"}}}
	gone := lambdabiz.WorkerRecord{Number: 3, Gone: true, WorkerInfo: lambdabiz.WorkerInfo{Names: []string{"N"}}}
	for name, tc := range map[string]struct {
		states  []*lambdabiz.State
		workers []lambdabiz.WorkerRecord
		want    string
	}{
		"waits for an event":           {states: []*lambdabiz.State{open(waitEvent)}},
		"waits for an open child":      {states: []*lambdabiz.State{parent(), child(lambdabiz.StatusStarted)}},
		"waits for a timer":            {states: []*lambdabiz.State{wakes(time.Hour, waitTimer)}},
		"is due a moment ago":          {states: []*lambdabiz.State{wakes(-time.Second, waitTask)}},
		"is held by a live worker":     {states: []*lambdabiz.State{heldBy(1)}, workers: []lambdabiz.WorkerRecord{serving}},
		"is held by nobody registered": {states: []*lambdabiz.State{heldBy(9)}, want: problemLostWorker},
		"is held by a dead worker": {
			states: []*lambdabiz.State{heldBy(3)}, workers: []lambdabiz.WorkerRecord{gone}, want: problemLostWorker,
		},
		"is due, and nobody serves it": {
			states: []*lambdabiz.State{wakes(-time.Minute)}, workers: []lambdabiz.WorkerRecord{other, gone}, want: problemUnserved,
		},
		"is due, and nobody takes it": {
			states: []*lambdabiz.State{wakes(-time.Minute)}, workers: []lambdabiz.WorkerRecord{serving}, want: problemOverdue,
		},
		"waits for nothing":                     {states: []*lambdabiz.State{open()}, want: problemAsleep},
		"has a timer without a time to wake":    {states: []*lambdabiz.State{open(waitTimer)}, want: problemAsleep},
		"has a task that nobody runs":           {states: []*lambdabiz.State{open(waitTask)}, want: problemAsleep},
		"has a task and an event that may come": {states: []*lambdabiz.State{open(waitTask, waitEvent)}},
		"has a deadline without a time to wake": {
			states: []*lambdabiz.State{with(open(waitEvent), func(s *lambdabiz.State) { s.Deadline = noon.Add(time.Hour) })},
			want:   problemAsleep,
		},
		"has got its event and sleeps": {
			states: []*lambdabiz.State{with(open(waitEvent), func(s *lambdabiz.State) {
				s.Events = []lambdabiz.Buffered{{Name: "go"}}
			})},
			want: problemAsleep,
		},
		"has got another event": {
			states: []*lambdabiz.State{with(open(waitEvent), func(s *lambdabiz.State) {
				s.Events = []lambdabiz.Buffered{{Name: "stop"}}
			})},
		},
		"has an ended child and sleeps": {
			states: []*lambdabiz.State{parent(), child(lambdabiz.StatusFailed)}, want: problemAsleep,
		},
		"has a child that is purged": {states: []*lambdabiz.State{parent()}, want: problemAsleep},
		"wakes too late":             {states: []*lambdabiz.State{wakes(3*time.Hour, waitTimer)}, want: problemLate},
		"is paused":                  {states: []*lambdabiz.State{with(wakes(-time.Hour), func(s *lambdabiz.State) { s.Paused = true })}},
		"is driven by hand": {
			states: []*lambdabiz.State{with(open(), func(s *lambdabiz.State) { s.Mode = lambdabiz.ModeHand })},
		},
		"has a definition that no live worker knows": {
			states: []*lambdabiz.State{with(wakes(-time.Minute), func(s *lambdabiz.State) {
				s.Status, s.Blocked = lambdabiz.StatusScheduled, &lambdabiz.Blocked{Reason: "no worker knows N"}
			})},
			workers: []lambdabiz.WorkerRecord{other}, want: problemUnserved,
		},
		"is blocked": {
			states: []*lambdabiz.State{with(wakes(time.Hour), func(s *lambdabiz.State) {
				s.Blocked = &lambdabiz.Blocked{Reason: "panic: boom", Since: noon, Times: 1}
			})},
			want: problemBlocked,
		},
	} {
		d, err := diagnose(t.Context(), &ward{states: tc.states, workers: tc.workers}, noon, 10*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := ""
		for _, p := range d.Problems {
			got += p.Kind
			if p.ID != "x" || p.Detail == "" || p.Hint == "" {
				t.Errorf("%s: incomplete problem %+v", name, p)
			}
		}
		if got != tc.want {
			t.Errorf("%s: found %q, want %q", name, got, tc.want)
		}
	}
}

// A run that changes hands between two reads looks lost at first.
func TestDiagnoseReportsOnlyWhatASecondLookConfirms(t *testing.T) {
	t.Parallel()
	w := &ward{states: []*lambdabiz.State{heldBy(5)}}
	w.second = func(w *ward) { w.workers = []lambdabiz.WorkerRecord{{Number: 5}} }
	d, err := diagnose(t.Context(), w, noon, 0)
	if err != nil || len(d.Problems) != 0 {
		t.Errorf("found %+v, %v", d.Problems, err)
	}
	w = &ward{states: []*lambdabiz.State{heldBy(5)}}
	w.second = func(w *ward) { w.states[0].Worker = 6 }
	if d, err = diagnose(t.Context(), w, noon, 0); err != nil || len(d.Problems) != 0 {
		t.Errorf("found %+v, %v", d.Problems, err)
	}
}
