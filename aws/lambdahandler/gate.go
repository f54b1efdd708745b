package lambdahandler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
)

// gate stands between the engine and the backend of one orchestration's task list. Only this orchestration and its children
// are on that list, so it knows when a poll can bring something: not while a decision task is open, not for an activity
// that nobody has asked for. And when all that they wait for is far away, it says that there is nothing to stay for.
type gate struct {
	*swf.Backend

	id      string
	stayFor time.Duration // negative: for ever
	left    chan struct{} // closed when there is nothing to stay for

	mu     sync.Mutex
	moved  chan struct{}        // closed, and made anew, when something has changed
	polled bool                 // SWF has been asked once at least, since nobody knows what has happened before
	over   bool                 // the orchestration has ended
	gone   bool                 // left is closed
	held   map[string]time.Time // runs whose decision task is open, until when
	runs   map[string]*seen     // by run id
	taken  map[attempt]bool     // attempts that this process performs or has performed
}

// seen is what this call knows of a run.
type seen struct {
	id    string
	again bool // the next decision task is on its way
	still bool // paused or blocked: nothing of it is due
	ops   map[string]lambdabiz.Operation
}

func newGate(b *swf.Backend, state *lambdabiz.State, stayFor time.Duration) *gate {
	g := &gate{
		Backend: b, id: state.ID, stayFor: stayFor, left: make(chan struct{}), moved: make(chan struct{}),
		held: map[string]time.Time{}, runs: map[string]*seen{}, taken: map[attempt]bool{},
	}
	g.see(&lambdabiz.Record{RunInfo: state.RunInfo, Operations: state.Operations})
	return g
}

// see takes a run as it is.
func (g *gate) see(rec *lambdabiz.Record) {
	s := &seen{id: rec.ID, still: rec.Paused || rec.Blocked != nil, ops: map[string]lambdabiz.Operation{}}
	for i := range rec.Operations {
		s.ops[rec.Operations[i].ID] = rec.Operations[i]
	}
	g.runs[rec.RunID] = s
}

// tellLocked wakes who waits for a change.
func (g *gate) tellLocked() {
	close(g.moved)
	g.moved = make(chan struct{})
}

// Claim polls when no decision task is open and something is due, and blocks until ctx ends otherwise.
func (g *gate) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	for {
		poll, moved, until := g.mayPoll()
		if poll {
			break
		}
		if err := await(ctx, moved, until); err != nil {
			return lambdabiz.Claims{}, err
		}
	}
	claims, err := g.Backend.Claim(ctx, r)
	if err != nil {
		return claims, err //nolint:wrapcheck // it stands for the backend
	}
	var rec *lambdabiz.Record
	if len(claims.Runs) == 0 { // it may have been ended or changed from outside
		rec, err = g.Load(ctx, g.id, "")
		if err != nil && ctx.Err() == nil && !errors.Is(err, lambdabiz.ErrNotFound) {
			return lambdabiz.Claims{}, err //nolint:wrapcheck // it stands for the backend
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.tellLocked()
	g.polled = true
	for _, s := range g.runs {
		s.again = false
	}
	if rec != nil {
		g.see(rec)
		g.over = rec.Status.Ended() && rec.ContinuedAs == ""
	}
	for i := range claims.Runs {
		c := &claims.Runs[i]
		g.see(&c.Record)
		g.runs[c.Ref.RunID].still = false // it is tried again
		g.held[c.Ref.RunID] = c.Until
	}
	return claims, nil
}

// mayPoll reports whether a poll makes sense now; else it says what to wait for.
func (g *gate) mayPoll() (poll bool, moved <-chan struct{}, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(g.held, func(_ string, until time.Time) bool { return !until.After(now) }) // SWF has taken it back
	if len(g.held) > 0 {
		return false, g.moved, slices.MinFunc(slices.Collect(maps.Values(g.held)), time.Time.Compare)
	}
	if !g.over && (!g.polled || g.stayFor < 0 || g.dueLocked(now.Add(g.stayFor))) {
		return true, nil, time.Time{}
	}
	if !g.gone {
		g.gone = true
		close(g.left)
	}
	return false, g.moved, time.Time{}
}

// await blocks until moved is closed, or until a time if that is not zero.
func await(ctx context.Context, moved <-chan struct{}, until time.Time) error {
	var late <-chan time.Time
	if !until.IsZero() {
		clock := time.NewTimer(time.Until(until))
		defer clock.Stop()
		late = clock.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-moved:
	case <-late:
	}
	return nil
}

// dueLocked reports whether something can happen by the given time, as far as is known.
func (g *gate) dueLocked(by time.Time) bool {
	for _, s := range g.runs {
		if s.again {
			return true
		}
		if s.still {
			continue
		}
		for _, o := range s.ops {
			switch {
			case o.Status.Ended():
			case !o.DueAt.IsZero():
				if !o.DueAt.After(by) {
					return true
				}
			case o.Kind == lambdabiz.KindChild:
				if g.childDueLocked(&o) {
					return true
				}
			case o.Kind != lambdabiz.KindEvent:
				return true // it is at work
			}
		}
	}
	return false
}

// childDueLocked reports whether a child has to be waited for: one that this call has seen says so itself.
func (g *gate) childDueLocked(o *lambdabiz.Operation) bool {
	for _, s := range g.runs {
		if s.id == o.Target {
			return false
		}
	}
	return true
}

// Commit lets the next poll begin where it has ended a claim.
func (g *gate) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	verdicts, err := g.Backend.Commit(ctx, batch)
	if err != nil {
		return verdicts, err //nolint:wrapcheck // it stands for the backend
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range batch {
		if c.Run != nil && i < len(verdicts) {
			g.committedLocked(c, &verdicts[i])
		}
	}
	g.tellLocked()
	return verdicts, nil
}

func (g *gate) committedLocked(c *lambdabiz.Commit, v *lambdabiz.Verdict) {
	s := g.runs[c.Run.RunID]
	if s == nil { // a run that was started by hand in the same process
		return
	}
	if !v.Held {
		delete(g.held, c.Run.RunID)
	}
	if v.Err != nil { // nothing is applied, and the next decision task says how the run is
		s.again = true
		return
	}
	for i := range c.Operations {
		s.ops[c.Operations[i].ID] = c.Operations[i]
	}
	s.again = c.Again
	if r := c.Release; r != nil {
		s.still = r.Blocked != nil
		s.again = s.again || r.Blocked == nil && !r.WakeAt.IsZero() && !r.WakeAt.After(c.At)
	}
	if c.Close == nil {
		return
	}
	if c.Close.Next != nil {
		g.runs[c.Close.Next.RunID] = &seen{id: s.id, again: true}
	} else if s.id == g.id {
		g.over = true
	}
	delete(g.runs, c.Run.RunID)
	for _, parent := range g.runs { // it learns of its child's end
		for _, o := range parent.ops {
			parent.again = parent.again || o.Kind == lambdabiz.KindChild && !o.Status.Ended() && o.Target == s.id
		}
	}
}

// NextTask polls when there is an attempt that nobody performs.
func (g *gate) NextTask(ctx context.Context, r lambdabiz.TaskRequest) (*lambdabiz.TaskClaim, error) {
	for {
		wanted, moved := g.wanted(&r)
		if wanted {
			break
		}
		if err := await(ctx, moved, time.Time{}); err != nil {
			return nil, err
		}
	}
	claim, err := g.Backend.NextTask(ctx, r)
	if claim != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.taken[attemptOf(claim.RunID, &claim.Operation)] = true
	}
	return claim, err //nolint:wrapcheck // it stands for the backend
}

func (g *gate) wanted(r *lambdabiz.TaskRequest) (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for runID, s := range g.runs {
		for _, o := range s.ops {
			if o.Kind == r.Kind && !o.Status.Ended() && o.DueAt.IsZero() && o.Tried == nil && slices.Contains(r.Names, o.Name) &&
				!g.taken[attemptOf(runID, &o)] {
				return true, nil
			}
		}
	}
	return false, g.moved
}

// attempt is an attempt of an operation.
type attempt struct {
	runID, operation string
	number           int
}

func attemptOf(runID string, o *lambdabiz.Operation) attempt { return attempt{runID, o.ID, o.Attempts} }
