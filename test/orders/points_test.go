package orders_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// everything is an orchestration with something of each kind in it, which takes about 100 ms and cleans up
// when it is cancelled.
type everything struct {
	d, child *lambdabiz.Definition[int, string]
	task     *lambdabiz.Task[int, int]
	bodies   tally
}

// body takes some time, and obeys its context.
func (x *everything) body(ctx context.Context, d time.Duration) error {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	x.bodies.add(fmt.Sprint(info.OperationID, ", attempt ", info.Attempt), 1)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func newEverything() *everything {
	x := &everything{}
	x.child = lambdabiz.Define("Child", func(o lambdabiz.Context, _ int) (string, error) {
		if err := lambdabiz.Sleep(o, "grow", 10*time.Millisecond); err != nil {
			return "", err
		}
		return "grown", nil
	})
	x.task = lambdabiz.NewTask("Flaky", func(ctx context.Context, n int) (int, error) {
		if err := x.body(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
		if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
			return 0, errors.New("the first attempt fails")
		}
		return n, nil
	})
	x.d = lambdabiz.Define("Everything", func(o lambdabiz.Context, _ int) (string, error) {
		out, err := x.run(o)
		if err == nil {
			return out, nil
		}
		clean := lambdabiz.Detached(o)
		undo := lambdabiz.Do(clean, "undo", func(ctx context.Context) error { return x.body(ctx, 5*time.Millisecond) })
		if undo = errors.Join(undo, lambdabiz.Sleep(clean, "cool-off@5ms", 5*time.Millisecond)); undo != nil {
			return "", fmt.Errorf("clean-up: %w", undo)
		}
		return "", err
	})
	return x
}

func (x *everything) run(o lambdabiz.Context) (string, error) {
	backoff := lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: 10 * time.Millisecond, Jitter: -1})
	n, err := lambdabiz.Call(o, "task", x.task, 7, backoff)
	if err != nil {
		return "", err
	}
	if err := lambdabiz.Do(o, "step", func(ctx context.Context) error { return x.body(ctx, 10*time.Millisecond) }); err != nil {
		return "", err
	}
	if err := lambdabiz.Sleep(o, "timer@10ms", 10*time.Millisecond); err != nil {
		return "", err
	}
	event, err := lambdabiz.WaitForEvent[string](o, "E")
	if err != nil {
		return "", err
	}
	doubled, err := lambdabiz.Map(o, "map", []int{1, 2}, func(n int) string { return fmt.Sprint(n) },
		func(o lambdabiz.Context, n int) (int, error) {
			return 2 * n, lambdabiz.Do(o, "step", func(ctx context.Context) error { return x.body(ctx, 5*time.Millisecond) })
		})
	if err != nil {
		return "", err
	}
	patience := lambdabiz.Go(o, "patience", func(o lambdabiz.Context) (int, error) {
		return 0, lambdabiz.Sleep(o, "timer@10ms", 10*time.Millisecond)
	})
	answer := lambdabiz.Go(o, "answer", func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "none") })
	won, err := lambdabiz.Race(o, "race", answer, patience)
	if err != nil {
		return "", err
	}
	grown, err := lambdabiz.CallChild(o, "child", x.child, 0)
	return fmt.Sprintf("%d %s %v %d %s", n, event, doubled, won, grown), err
}

const everythingGave = "7 here [2 4] 1 grown"

// point is where a run is disturbed: at a commit of its worker, or at a moment.
type point struct {
	action string // cancel, terminate, pause, stop
	commit int    // before the store has it or after; 0 for a moment
	after  bool
	moment time.Duration
	drain  time.Duration
}

// disturbed is one run, its first worker, and who disturbs it.
type disturbed struct {
	s       *stage
	x       *everything
	p       point
	seen    lambdabiz.Backend
	client  *lambdabiz.Engine
	counts  *tally
	stop    context.CancelFunc // of the first worker
	done    chan struct{}      // the action is over
	err     error              // what it was answered
	early   bool               // a pause: the run had much to do yet
	commits int
	mu      sync.Mutex
}

// act disturbs the run.
func (d *disturbed) act() {
	defer close(d.done)
	switch d.p.action {
	case "cancel":
		d.err = d.client.Cancel(d.s.ctx, "x", "")
	case "terminate":
		d.err = d.client.Terminate(d.s.ctx, "x", "")
	case "pause":
		d.err = d.client.Pause(d.s.ctx, "x", "")
		if rec, ok := d.s.load("x"); ok {
			d.early = find(rec, "race") == nil
		}
	case "stop":
		d.stop()
	}
	if d.err == nil {
		d.counts.add(d.p.action, 1)
	} else if !errors.Is(d.err, lambdabiz.ErrClosed) {
		d.s.complainf("%+v: %v", d.p, d.err)
	}
}

// commit counts the worker's commits, and acts at the point.
func (d *disturbed) commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	d.mu.Lock()
	before := d.commits
	for _, c := range batch {
		if c.Run != nil {
			d.commits++
		}
	}
	now := before < d.p.commit && d.p.commit <= d.commits
	d.mu.Unlock()
	if now && !d.p.after {
		d.act()
	}
	verdicts, err := d.seen.Commit(ctx, batch)
	if now && d.p.after {
		d.act()
	}
	return verdicts, err
}

// disturb plays one run that is disturbed at the point, and returns the number of its commits.
func disturb(
	t *testing.T, h home, p point, counts *tally, seenAs func(lambdabiz.Backend) lambdabiz.Backend,
) (string, int) {
	t.Helper()
	d := &disturbed{p: p, counts: counts}
	complaint := h.perform(t, func(s *stage) {
		d.s, d.x, d.seen, d.done = s, newEverything(), seenAs(s.store), make(chan struct{})
		config := lambdabiz.Config{PollInterval: 10 * time.Millisecond, DrainTimeout: p.drain}
		items := lambdabiz.Registrables{d.x.d, d.x.child, d.x.task}
		d.client = s.engine(d.seen, config, items)
		run := begin(s, d.client, d.x.d, "x", 0)
		s.must(d.client.RaiseEvent(s.ctx, "x", "E", "here"), "raise")
		over := make(chan struct{})
		go func() {
			defer close(over)
			d.outcome(run)
		}()
		working, stop := context.WithCancel(s.ctx)
		d.stop = stop
		defer stop()
		worker := s.engine(&between{Backend: d.seen, commit: d.commit}, config, items)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.must(worker.Run(working), "run engine")
		}()
		if p.commit == 0 && p.action != "" {
			go func() {
				pass(p.moment)
				d.act()
			}()
		}
		d.follow(ended, over, func() { s.work(s.engine(d.seen, config, items)) })
		<-over
		stop()
		<-ended
	})
	return complaint, d.commits
}

// follow does what comes after the disturbance: another worker, or the end of the pause.
func (d *disturbed) follow(ended, over <-chan struct{}, another func()) {
	select {
	case <-d.done:
	case <-over: // it was over before the point came
		return
	}
	switch d.p.action {
	case "stop":
		began := time.Now()
		<-ended
		if took := time.Since(began); took > d.p.drain+6*time.Second {
			d.s.complainf("%+v: the worker took %v to stop", d.p, took)
		}
		another()
	case "pause":
		d.paused()
	}
}

// paused looks that a paused run does not go on, and resumes it.
func (d *disturbed) paused() {
	if d.err != nil {
		return
	}
	pass(100 * time.Millisecond) // bodies that ran have ended and are recorded
	before, ok := d.s.load("x")
	if !ok || before.Status.Ended() { // its last commit may have been on its way
		if ok && d.early {
			d.s.complainf("%+v: the paused run went on to its end", d.p)
		}
		return
	}
	pass(time.Second)
	if after, ok := d.s.load("x"); ok && (text(after) != text(before) || !after.Paused) {
		d.s.complainf("%+v: the paused run went on from %s to %s", d.p, text(before), text(after))
	}
	d.s.must(d.client.Resume(d.s.ctx, "x"), "resume")
}

// outcome waits for the end, and checks it against what has been done to the run.
func (d *disturbed) outcome(run *lambdabiz.Run[string]) {
	s := d.s
	out, err := outcome(s, run)
	ended, ok := s.load("x")
	if !ok {
		return
	}
	undone := d.x.bodies.get("undo, attempt 1")
	acknowledged := false
	select {
	case <-d.done:
		acknowledged = d.err == nil
	default:
	}
	switch {
	case err == nil && out == everythingGave && undone == 0:
		if acknowledged && d.p.action == "terminate" {
			s.complainf("%+v: it was terminated, and succeeded", d.p)
		}
		if acknowledged && d.p.action == "cancel" && !ended.CancelRequested {
			s.complainf("%+v: its cancellation is forgotten", d.p)
		}
		d.attempts(ended)
	case d.p.action == "cancel" && ended.Status == lambdabiz.StatusCancelled && errors.Is(err, lambdabiz.ErrCancelled):
		if o := find(ended, "undo"); undone != 1 || o == nil || o.Status != lambdabiz.StatusSucceeded {
			s.complainf("%+v: it was cleaned up %d times, recorded as %+v", d.p, undone, o)
		}
		d.counts.add("cleaned up", 1)
	case d.p.action == "terminate" && ended.Status == lambdabiz.StatusTerminated && errors.Is(err, lambdabiz.ErrTerminated):
	default:
		s.complainf("%+v: it ended as %v with %q, %v, cleaned up %d times", d.p, ended.Status, out, err, undone)
	}
	pass(5 * time.Second)
	for _, again := range []error{d.client.Cancel(s.ctx, "x", ""), d.client.Terminate(s.ctx, "x", "")} {
		if !errors.Is(again, lambdabiz.ErrClosed) {
			s.complainf("%+v: after its end it was answered with %v", d.p, again)
		}
	}
	if later, ok := s.load("x"); ok && text(later) != text(ended) {
		s.complainf("%+v: its record has changed after its end, from %s to %s", d.p, text(ended), text(later))
	}
}

// text is all of a record.
func text(rec *lambdabiz.Record) string {
	all, err := json.Marshal(rec)
	if err != nil {
		return err.Error()
	}
	return string(all)
}

// attempts checks that an interruption was not charged.
func (d *disturbed) attempts(rec *lambdabiz.Record) {
	for path, want := range map[string]int{"task": 2, "step": 1, "map/1/step": 1, "map/2/step": 1} {
		if o := find(rec, path); o == nil || o.Attempts != want {
			d.s.complainf("%+v: operation %q is %+v, want %d attempts", d.p, path, o, want)
		}
	}
	long := d.p.action != "stop" || d.p.drain > time.Second
	for what, n := range d.x.bodies.n {
		if n > 2 || n > 1 && long {
			d.s.complainf("%+v: %s ran %d times", d.p, what, n)
		}
		if n > 1 {
			d.counts.add("run again", 1)
		}
	}
}

func somePoint(random *rand.Rand, commits int) point {
	p := point{
		action: []string{"cancel", "terminate", "pause", "stop"}[random.IntN(4)],
		drain:  []time.Duration{time.Millisecond, 20 * time.Second}[random.IntN(2)],
	}
	switch random.IntN(4) {
	case 0:
		p.moment = upTo(random, 110)
	case 1: // while its first bodies run
		p.moment = upTo(random, 36)
		if random.IntN(2) == 0 { // and cut, so that they run again
			p.action, p.drain = "stop", time.Millisecond
		}
	default:
		p.commit, p.after = 1+random.IntN(commits), random.IntN(2) == 0
	}
	return p
}

// F38: a run with something of each kind is cancelled, terminated, paused and resumed, or its worker stopped,
// at each of its commits and at every moment.
func TestDisturbedAtEveryPoint(t *testing.T) {
	t.Parallel()
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 120, 10_000)
	var counts tally
	most := map[string]int{}
	must := func() []campaign.Count {
		return counts.list("cancel", "terminate", "pause", "stop", "cleaned up", "run again")
	}
	for round := range campaign.More(rounds, must) {
		random := campaign.Random(seed, round)
		h := homes[round%len(homes)]
		if most[h.name] == 0 {
			complaint, commits := disturb(t, h, point{}, &counts, straight)
			if complaint != "" || commits == 0 {
				t.Fatalf("undisturbed, %d commits: %s", commits, complaint)
			}
			most[h.name] = commits
		}
		p := somePoint(random, most[h.name])
		if complaint, _ := disturb(t, h, p, &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F38", must(),
		campaign.Count{What: "points", N: rounds})
}

// unheard acknowledges controls of a kind, and drops them.
func unheard(kind lambdabiz.ControlKind) func(b lambdabiz.Backend) lambdabiz.Backend {
	return func(b lambdabiz.Backend) lambdabiz.Backend {
		return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			if len(batch) == 1 && len(batch[0].Controls) == 1 && batch[0].Controls[0].Kind == kind {
				return []lambdabiz.Verdict{{Controls: []error{nil}}}, nil
			}
			return b.Commit(ctx, batch)
		}}
	}
}

// charging counts an attempt that was cut as one that has failed.
func charging(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
		c, err := b.Claim(ctx, r)
		for _, run := range c.Runs {
			for i := range run.Operations {
				if o := &run.Operations[i]; o.Kind == lambdabiz.KindStep && !o.Status.Ended() {
					o.Attempts++
				}
			}
		}
		return c, err
	}}
}

func TestSabotageDisturbed(t *testing.T) {
	t.Parallel()
	short := time.Millisecond
	for protection, twin := range map[string]struct {
		remove func(lambdabiz.Backend) lambdabiz.Backend
		p      point
	}{
		"the message of a cancellation":    {unheard(lambdabiz.ControlCancel), point{action: "cancel", commit: 3, drain: short}},
		"the end by a termination":         {unheard(lambdabiz.ControlTerminate), point{action: "terminate", commit: 3, drain: short}},
		"the pause":                        {unheard(lambdabiz.ControlPause), point{action: "pause", commit: 2, drain: short}},
		"not charging what a stop has cut": {charging, point{action: "stop", moment: 25 * time.Millisecond, drain: short}},
	} {
		t.Run(protection, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F38", protection, campaign.UntilRed(func(int) string {
				complaint, _ := disturb(t, homes[0], twin.p, &tally{}, twin.remove)
				return complaint
			}))
		})
	}
}
