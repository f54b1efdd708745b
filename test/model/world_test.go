package model_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
)

// setting is what an execution takes place in.
type setting struct {
	home      string // a name of homes
	nap, late time.Duration
}

func (s setting) String() string { return fmt.Sprintf("%s, nap %v, late %v", s.home, s.nap, s.late) }

// homeKind is how claims end there, and how soon a run that waits leaves memory.
type homeKind struct {
	ends      bool
	parkAfter time.Duration
}

const never = 1000 * time.Hour

var homes = map[string]homeKind{
	"held":               {false, never},
	"ends":               {true, never},
	"ends and forgotten": {true, time.Second},
}

// world is one execution.
type world struct {
	setting

	ctx     context.Context //nolint:containedctx // the bubble's
	store   *home
	program *program
	begun   time.Time
	engine  *lambdabiz.Engine
	cancel  func()     // ends the worker
	done    chan error // receives when it has ended
	ending  bool       // it is to end
	stopped bool       // it has ended

	did       map[string]int
	stirred   bool // something has happened since the last moment
	still     bool // the last stimulus has changed nothing: what may happen now could have happened before it
	events    []raised
	cancelled time.Time
	told      time.Time // the run knows of the cancellation by then
	recorded  map[int64]string
	rec       *lambdabiz.Record
	now       moment
	faults    []string
}

// moment is what can be seen from outside when the engine stands still.
type moment struct {
	commits []*pendingCommit // that wait
	decided bool             // the first one is, by the store
	bodies  []*body          // that run
	begun   int              // bodies
	asked   bool             // the answer to a claim is kept
	changes int              // of the store
	told    int              // how many of them the worker has asked after
	lives   int              // of the worker
	worker  int64            // that holds the run
	stopped bool             // the worker has ended
}

func (m *moment) equals(n *moment) bool {
	return slices.Equal(m.commits, n.commits) && m.decided == n.decided && slices.Equal(m.bodies, n.bodies) && m.begun == n.begun &&
		m.asked == n.asked && m.changes == n.changes && m.lives == n.lives && m.worker == n.worker && m.stopped == n.stopped
}

// point is a moment at which the engine stands still.
type point struct {
	chosen string
	others []string
}

// longest is how many stimuli an execution has at most; then it goes on by itself.
const longest = 80

// perform carries out a schedule, then what is usual, and returns what it did and what is wrong.
func (s setting) perform(t *testing.T, schedule []string) (points []point, complaint string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := s.begin(t)
		for len(points) < longest && w.rec != nil && !w.over() && len(w.faults) == 0 {
			can := w.possible()
			var next string
			switch {
			case len(points) < len(schedule):
				next = schedule[len(points)]
				if !slices.Contains(can, next) {
					w.complainf("%s%s is not possible as stimulus %d, only %s", misled, next, len(points)+1, strings.Join(can, ", "))
				}
			case len(can) > 0 && stimulusNamed(can[0]).usual:
				next = can[0]
			}
			if next == "" || len(w.faults) > 0 {
				break
			}
			p := point{chosen: next}
			if !w.still {
				p.others = slices.DeleteFunc(can, func(c string) bool { return c == next })
			}
			points = append(points, p)
			w.do(next)
		}
		w.finish()
		w.close()
		complaint = strings.Join(w.faults, "\n")
	})
	return points, complaint
}

// misled begins the complaint about a schedule that cannot be followed.
const misled = "the schedule does not fit: "

// begin starts the program on a new store.
func (s setting) begin(t *testing.T) *world {
	t.Helper()
	kind, known := homes[s.home]
	store, err := newHome(kind.ends)
	if err != nil || !known {
		t.Fatalf("home %q: %v", s.home, err)
	}
	w := &world{
		setting: s, ctx: t.Context(), store: store, program: &program{nap: s.nap, late: s.late, store: store},
		begun: time.Now(), did: map[string]int{}, recorded: map[int64]string{},
	}
	e, err := lambdabiz.New(store, lambdabiz.Config{
		Logger: slog.New(slog.DiscardHandler), PollInterval: -1, Lease: 10 * time.Minute,
		ParkAfter: kind.parkAfter, MaxResident: 1, Version: "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(w.program.definition()); err != nil {
		t.Fatal(err)
	}
	w.engine = e
	w.work()
	synctest.Wait()
	start := lambdabiz.RunStart{ID: theID, RunID: theRun, Name: "D", Input: lambdabiz.Payload("1")}
	if err := store.outside(t.Context(), &lambdabiz.Commit{At: w.begun, Starts: []lambdabiz.RunStart{start}}); err != nil {
		t.Fatal(err)
	}
	w.look()
	return w
}

// work makes the engine a worker.
func (w *world) work() {
	ctx, cancel := context.WithCancel(w.ctx)
	w.cancel, w.done, w.ending, w.stopped = cancel, make(chan error, 1), false, false
	go func() { w.done <- w.engine.Run(ctx) }()
}

// close ends the worker for good.
func (w *world) close() {
	w.cancel()
	if !w.stopped {
		w.left(<-w.done)
	}
	time.Sleep(aMoment) // for goroutines that are to end by themselves
}

// left notes that the worker has ended.
func (w *world) left(err error) {
	w.stopped = true
	if err != nil {
		w.complainf("run engine: %v", err)
	}
}

func (w *world) complainf(format string, a ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, a...))
}

// over reports whether the run has ended and nothing of it is on its way.
func (w *world) over() bool {
	return w.rec.Status.Ended() && len(w.now.commits) == 0 && len(w.now.bodies) == 0 && !w.now.asked
}

func (w *world) possible() []string {
	var names []string
	for i := range stimuli {
		if stimuli[i].possible(w) {
			names = append(names, stimuli[i].name)
		}
	}
	return names
}

// do lets a stimulus happen, and waits until the engine stands still again.
func (w *world) do(name string) {
	s := stimulusNamed(name)
	w.did[name]++
	w.stirred = name != "moment"
	before := w.now
	s.do(w)
	synctest.Wait()
	w.look()
	w.still = (name == "moment" || name == "poll" && len(w.rec.Messages) == 0) && before.equals(&w.now)
	if name == "moment" {
		w.lookForLate(before.bodies)
	}
}

// pass lets time go on.
func (w *world) pass(d time.Duration) { time.Sleep(d) }

// lookForLate checks after a moment, in which bodies ran, that nothing is still to be written which could have been.
func (w *world) lookForLate(bodies []*body) {
	if w.store.ends || w.ending || w.did["pause"] > 0 || w.rec.Worker == 0 || len(w.now.commits) > 0 || w.now.asked {
		return // it will be written with a claim, or a commit, to come; a run that stops waits for its bodies first
	}
	for i := range w.rec.Operations {
		if o := &w.rec.Operations[i]; !ended(o) && !o.DueAt.IsZero() && time.Since(o.DueAt) >= aMoment {
			w.complainf("%s was due %v ago, and nobody has written it", o.ID, time.Since(o.DueAt))
		}
	}
	for _, b := range bodies {
		if o := operation(w.rec, b.id); b.life == w.now.lives && (o == nil || o.Status == lambdabiz.StatusScheduled) {
			w.complainf("the body of %s runs, and nobody has written it", b.id)
		}
	}
}

// aMoment is long enough for a late flush, and for the next try of a commit that was tried four times.
const aMoment = 500 * time.Millisecond

// look checks what must hold whenever the engine stands still.
func (w *world) look() {
	rec, err := w.store.Load(w.ctx, theID, theRun)
	if err != nil {
		w.complainf("load: %v", err)
		return
	}
	w.rec = rec
	for _, v := range invariant.Record(rec, invariant.Options{Now: time.Now()}) {
		w.complainf("%v", v)
	}
	for i := range rec.Operations {
		o := &rec.Operations[i]
		if !o.Status.Ended() && w.recorded[o.Number] == "" {
			continue
		}
		now := fmt.Sprintf("%s %s %s at %v", o.ID, o.Status, o.Result, o.EndedAt.Sub(w.begun))
		if before := w.recorded[o.Number]; before != "" && before != now {
			w.complainf("the record %q has become %q", before, now)
		}
		w.recorded[o.Number] = now
	}
	if b := rec.Blocked; b != nil {
		w.complainf("it is blocked: %s", b.Reason)
	}
	if w.ending && !w.stopped {
		select {
		case err := <-w.done:
			w.left(err)
		default:
		}
	}
	w.now = w.store.look()
	w.now.worker, w.now.stopped = rec.Worker, w.stopped
	w.now.bodies, w.now.begun = w.program.look()
	if !w.cancelled.IsZero() && w.told.IsZero() && !w.ending && rec.Worker != 0 && len(w.now.commits) == 0 && !w.now.asked &&
		w.now.told == w.now.changes {
		w.told = time.Now().Add(aMoment)
	}
	w.faults = slices.Concat(w.faults, w.store.takeFaults(), w.program.takeFaults())
}

// dues are the times to come at which something happens, the earliest first.
func (w *world) dues() []time.Time {
	var dues []time.Time
	add := func(t time.Time) {
		if t.After(time.Now()) {
			dues = append(dues, t)
		}
	}
	open := func(operations []lambdabiz.Operation) {
		for i := range operations {
			if o := &operations[i]; !o.Status.Ended() {
				add(o.DueAt)
			}
		}
	}
	open(w.rec.Operations)
	for _, p := range w.now.commits {
		open(p.commit.Operations)
		if p.commit.Release != nil {
			add(p.commit.Release.WakeAt)
		}
	}
	add(w.rec.WakeAt)
	slices.SortFunc(dues, time.Time.Compare)
	return dues
}

// soon is how long the run may take to its end when nothing disturbs it any more, after the last time it waits for: it
// tries commits again, and the worker looks again, within this time.
const soon = 5 * time.Second

// finish lets the rest go on without faults, and looks at what has come of it.
func (w *world) finish() {
	if w.rec == nil {
		return
	}
	w.store.release()
	w.program.release()
	synctest.Wait()
	w.look()
	if w.rec.Paused {
		w.resume()
		synctest.Wait()
		w.look()
	}
	if w.ending {
		if !w.stopped {
			w.left(<-w.done)
		}
		w.work()
		synctest.Wait()
		w.look()
	}
	if !w.rec.Status.Ended() && len(w.faults) == 0 {
		last := time.Now()
		if all := w.begun.Add(w.nap + w.late); all.After(last) {
			last = all
		}
		time.Sleep(time.Until(last.Add(soon)))
		synctest.Wait()
		w.look()
	}
	if len(w.faults) == 0 {
		w.judge()
	}
}
