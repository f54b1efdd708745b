package process_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// tracer tells the parent what the engine writes, and what became of it. It can hold everything back,
// so that the process is frozen outside of a transaction; and it can switch a protection off, to show
// that a test would notice:
//
//	unfenced   a refused commit is repeated with higher fences until it is taken
//	forgetful  the results of tasks and steps are acknowledged without being written
//	amnesiac   a claim comes without the tasks and steps that are recorded
//	hasty      a claim brings timers as if they had been due long ago
//	careless   a claim does not tell how many workers in a row have died
//	torn       records are written before what they say was sent, in a transaction of their own
type tracer struct {
	home
	c     *child
	gate  sync.RWMutex
	ready atomic.Bool // it has said that it accepts starts, in this life as a worker
	once  sync.Once
	works chan struct{} // closed when it accepts starts for the first time

	waited atomic.Int64 // commits that took long
}

func openTraced(c *child) *tracer {
	var b home
	c.must("open", c.persist(func() (err error) {
		b, err = openHome(c.ctx, c.File, c.URL, c.Busy)
		return err
	}))
	return &tracer{home: b, c: c, works: make(chan struct{})}
}

// LockedBy asks a file who keeps it locked.
func (t *tracer) LockedBy(ctx context.Context, patience time.Duration) (*lambdabiz.Holder, error) {
	if b, ok := t.home.(lambdabiz.Locked); ok {
		return b.LockedBy(ctx, patience)
	}
	return nil, nil //nolint:nilnil // nobody does
}

// quiet lets no call through until the latch opens. When it has said so none is under way.
func (t *tracer) quiet(loud <-chan struct{}) {
	t.gate.Lock()
	defer t.gate.Unlock()
	t.c.sayf("quiet")
	<-loud
}

func (t *tracer) pass() (leave func()) {
	t.gate.RLock()
	return t.gate.RUnlock
}

func (t *tracer) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	defer t.pass()()
	number, err := t.home.Join(ctx, w)
	if err == nil {
		t.ready.Store(false)
		t.c.sayf("joined %d", number)
	}
	return number, err
}

func (t *tracer) Renew(ctx context.Context, worker int64) error {
	defer t.pass()()
	return t.home.Renew(ctx, worker)
}

func (t *tracer) Leave(ctx context.Context, worker, beat int64) error {
	defer t.pass()()
	err := t.home.Leave(ctx, worker, beat)
	if err == nil && beat >= 0 {
		t.c.sayf("buried %d", worker)
	}
	return err
}

func (t *tracer) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	defer t.pass()()
	return t.home.Workers(ctx)
}

func (t *tracer) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	defer t.pass()()
	if r.Hand == "" && t.ready.CompareAndSwap(false, true) {
		t.c.sayf("ready")
		t.once.Do(func() { close(t.works) })
	}
	claims, err := t.home.Claim(ctx, r)
	for i := range claims.Runs {
		if run := &claims.Runs[i]; t.c.Sabotage == "amnesiac" {
			run.Operations = slices.DeleteFunc(run.Operations, isEndedBody)
		}
		switch run := &claims.Runs[i]; t.c.Sabotage {
		case "hasty":
			hasten(run.Operations)
		case "careless":
			run.Crashes = 0
		}
		t.c.sayf("claimed %s crashes %d", claims.Runs[i].ID, claims.Runs[i].Crashes)
	}
	return claims, err
}

func (t *tracer) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	defer t.pass()()
	return t.home.Load(ctx, id, runID)
}

func (t *tracer) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	for _, c := range batch {
		for i := range c.Operations {
			t.c.sayf("trying %s %s %s", c.Run.ID, c.Operations[i].ID, c.Operations[i].Status)
		}
	}
	defer t.pass()()
	written := batch
	if t.c.Sabotage == "forgetful" {
		written = withoutResults(batch)
	}
	if t.c.Sabotage == "torn" {
		var err error
		if written, err = t.tear(ctx, batch); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	verdicts, err := t.home.Commit(ctx, written)
	if time.Since(began) > slow {
		t.waited.Add(1)
	}
	if err != nil {
		t.c.sayf("fault commit %v", err)
		return verdicts, err
	}
	for i, c := range batch {
		if t.c.Sabotage == "unfenced" && c.Run != nil && errors.Is(verdicts[i].Err, lambdabiz.ErrFenced) {
			verdicts[i] = t.force(ctx, c)
		}
		t.tell(c, &verdicts[i])
	}
	return verdicts, nil
}

func (t *tracer) tell(c *lambdabiz.Commit, v *lambdabiz.Verdict) {
	if c.Run == nil {
		return
	}
	switch {
	case errors.Is(v.Err, lambdabiz.ErrStale):
		t.c.sayf("stale %s", c.Run.ID) // newer messages come first
		return
	case v.Err != nil:
		t.c.sayf("refused %s %v", c.Run.ID, v.Err)
		return
	}
	for i := range c.Operations {
		o := &c.Operations[i]
		t.c.sayf("recorded %s %s %s", c.Run.ID, o.ID, o.Status)
	}
	switch {
	case c.Close != nil:
		t.c.sayf("closed %s %s", c.Run.ID, c.Close.Status)
	case c.Release != nil && c.Release.Blocked != nil:
		t.c.sayf("blocked %s %s", c.Run.ID, c.Release.Blocked.Reason)
	case c.Release != nil:
		t.c.sayf("released %s", c.Run.ID)
	}
}

// force writes past the fence.
func (t *tracer) force(ctx context.Context, c *lambdabiz.Commit) lambdabiz.Verdict {
	forged, ref := *c, *c.Run
	forged.Run = &ref
	for range 10 {
		ref.Fence++
		verdicts, err := t.home.Commit(ctx, []*lambdabiz.Commit{&forged})
		if err == nil && verdicts[0].Err == nil {
			return verdicts[0]
		}
	}
	return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}
}

// tear commits the records of what is sent, and returns the rest.
func (t *tracer) tear(ctx context.Context, batch []*lambdabiz.Commit) ([]*lambdabiz.Commit, error) {
	rest := slices.Clone(batch)
	for i, c := range batch {
		if c.Run == nil || len(c.Operations) == 0 || len(c.Starts)+len(c.Raises) == 0 {
			continue
		}
		first := &lambdabiz.Commit{Run: c.Run, Worker: c.Worker, At: c.At, Seen: c.Seen, Operations: c.Operations}
		if _, err := t.home.Commit(ctx, []*lambdabiz.Commit{first}); err != nil {
			return nil, err
		}
		tear()
		less := *c
		less.Operations = nil
		rest[i] = &less
	}
	return rest, nil
}

// withoutResults copies the commits without the ends of tasks and steps.
func withoutResults(batch []*lambdabiz.Commit) []*lambdabiz.Commit {
	written := make([]*lambdabiz.Commit, len(batch))
	for i, c := range batch {
		less := *c
		less.Operations = slices.DeleteFunc(slices.Clone(c.Operations), isEndedBody)
		written[i] = &less
	}
	return written
}

// slow is how long a commit takes that has to wait for another process.
const slow = 40 * time.Millisecond

func hasten(operations []lambdabiz.Operation) {
	for i := range operations {
		if o := &operations[i]; o.Kind == lambdabiz.KindTimer && !o.Status.Ended() {
			o.DueAt = o.ScheduledAt
		}
	}
}

func isEndedBody(o lambdabiz.Operation) bool {
	return o.Status.Ended() && (o.Kind == lambdabiz.KindTask || o.Kind == lambdabiz.KindStep)
}
