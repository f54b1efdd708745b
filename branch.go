package lambdabiz

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Future is the result of a branch that [Go] began.
type Future[T any] struct {
	f     *future
	value *T
}

// Awaitable is what [Race] chooses from: a *Future of any type.
type Awaitable interface{ branch() *future }

func (f *Future[T]) branch() *future { return f.f }

// Go begins a branch: f runs in a goroutine of its own, with a context of its own, in which ids have
// their own scope. What f returns is not recorded; it runs again on a resume, over its recorded
// operations. A branch that has not ended when the orchestration's function returns is cancelled.
//
// Where Go cannot begin the branch (a bad id, or the orchestration was cancelled), Wait returns why.
func Go[T any](o Context, id string, f func(o Context) (T, error), opts ...BranchOption) *Future[T] {
	fu := &Future[T]{f: &future{}, value: new(T)}
	var b branchOptions
	for _, opt := range opts {
		opt.applyBranch(&b)
	}
	fu.f.former = b.former
	fu.f.run(o, id, func(o Context) error {
		v, err := f(o)
		*fu.value = v
		return err
	}, true)
	o.run().giveWay()
	return fu
}

// crowd is how many branches a run begins before it gives way.
const crowd = 64

// giveWay lets other goroutines go first after a crowd of branches has begun. What other runs wake comes behind all
// that is in the scheduler's queue: without it, that would be as many branches as a run begins at once.
func (r *run) giveWay() {
	if r.begun.Load() >= crowd {
		r.begun.Store(0)
		runtime.Gosched()
	}
}

// run begins the branch, or only prepares it (see start) if begin is false.
func (f *future) run(o Context, id string, code func(o Context) error, begin bool) (start func()) {
	r, parent := o.run(), o.scope()
	start = func() {}
	if err := errors.Join(checkID("branch id", id), f.former.check()); err != nil {
		f.ended, f.err = true, fmt.Errorf("orchestration %s, branch %q: %w", r.info.ID, id, err)
		return start
	}
	site := here(parent)
	r.mu.Lock()
	if !r.liveLocked(parent) && !r.ended {
		f.ended, f.err = true, r.leaveLocked(parent)
		return start
	}
	path := joinPath(parent.path, id)
	if parent.busy != nil {
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: fmt.Sprintf(
			"a context is used by two goroutines at once: the operation at %s has not ended", parent.busy)})
		f.ended, f.err = true, r.leaveLocked(parent)
		return start
	}
	if err := r.visitLocked(parent, id, path, site); err != nil {
		f.ended, f.err = true, err
		return start
	}
	parent.visitedLocked(id, site)
	if o := r.record.get(path); o != nil && o.path() == path {
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: fmt.Sprintf(
			"recorded as %s %q, the code has a branch now", o.Kind, o.Name)})
		f.ended, f.err = true, r.leaveLocked(parent)
		return start
	}
	defer r.mu.Unlock()
	f.path = path
	if f.former != nil {
		for _, was := range f.former.in(parent.path) {
			r.record.moveScope(was, path)
		}
	}
	place := r.record.placeAt(path)
	if place.lost {
		f.ended, f.lost, f.err = true, true, ErrCancelled
		return start
	}
	f.s = newScope(r.base, parent, path, o.detached())
	f.s.branch, f.s.site = f, site
	place.begin(f.s)
	r.heedLocked(f.s)
	start = func() {
		if r.phase != phaseLive && !r.ended || f.s.isClosed() || f.ended {
			r.endBranchLocked(f, ErrCancelled)
			return
		}
		f.begun = true
		r.active++
		r.begun.Add(1)
		go f.main(r, code)
	}
	if begin {
		start()
	}
	return start
}

// main is the branch's goroutine.
func (f *future) main(r *run, code func(o Context) error) {
	finished := false
	defer func() { r.exit(f.s, finished) }()
	_, err := guard(func() (any, error) { return nil, code(r.view(f.s)) })
	p := panicIn(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	finished = true
	if p != nil {
		if r.liveLocked(f.s) {
			r.log().Error("branch panicked", "branch", f.s.path, "panic", p.text, "stack", p.stack)
			r.blockLocked(Blocked{Reason: p.Error(), Operation: f.s.path, Source: p.source, Detail: cut(p.stack, 4<<10)})
		}
		return
	}
	if r.liveLocked(f.s) || r.ended {
		r.endBranchLocked(f, err)
	}
}

// Wait blocks until the branch has ended, and returns what it returned, or ErrCancelled if the branch
// lost a race. A cancellation ends the operations of the branch, and so the branch, but not the waiting.
// Wait may be called again, and from other branches.
func (f *Future[T]) Wait(o Context) (T, error) {
	var zero T
	if err := f.f.wait(o); err != nil {
		return zero, err
	}
	return *f.value, nil
}

func (f *future) wait(o Context) error {
	r, s := o.run(), o.scope()
	site := here(s)
	r.mu.Lock()
	if s.busy != nil && r.liveLocked(s) {
		r.blockLocked(Blocked{Source: site.String(), Reason: fmt.Sprintf(
			"a context is used by two goroutines at once: the operation at %s has not ended", s.busy)})
		return r.leaveLocked(s)
	}
	s.busy = &site
	if left, err := r.waitAnyLocked(o, []*future{f}); left {
		return err
	}
	s.busy = nil
	s.knows(f.at)
	if f.s != nil {
		r.waitedLocked(s, f.s)
		if s.latest == nil {
			s.latest = f.s.latest
		}
	}
	r.knowsLocked(r.changed)
	f.read = true
	defer r.mu.Unlock()
	return f.err
}

func (f *future) hasEnded(o Context) bool {
	r := o.run()
	r.mu.Lock()
	defer r.mu.Unlock()
	return f.ended && !f.lost
}

// waitAnyLocked blocks until one of the futures has ended. A cancellation does not end it: the branches
// end by themselves then, and what they return is the same when the code runs again. It returns with mu
// held, or, when left, without it and with what the caller must return.
func (r *run) waitAnyLocked(o Context, futures []*future) (left bool, err error) {
	s := o.scope()
	for {
		if !r.liveLocked(s) && !r.ended {
			return true, r.leaveLocked(s)
		}
		if slices.ContainsFunc(futures, func(f *future) bool { return f.ended }) {
			return false, nil
		}
		s.awaits = futures
		w := &waiter{}
		for _, f := range futures {
			f.waiters = append(f.waiters, w)
		}
		r.waitLocked(s, w)
		s.awaits = nil
		for _, f := range futures {
			f.waiters = slices.DeleteFunc(f.waiters, func(x *waiter) bool { return x == w })
		}
	}
}

// Race waits for the first of several branches to end, and returns its index; read that future then. Where
// a branch ends with an event or a timer, it counts when the event arrived and when the timer was due, not
// when this process learned of it: an event that was raised in time wins, after a restart too.
// The commit that records the winner also cancels all other branches: their waits are withdrawn, their
// timers dropped, their children asked to cancel, their contexts ended, and late results dropped. A
// resumed run does not enter a losing branch. It returns ErrCancelled when the orchestration was
// cancelled before, or when all branches have lost an earlier race. A branch that was waited for before cannot
// race: the code has its value already, and would not get it again if it lost.
func Race(o Context, id string, branches ...Awaitable) (int, error) {
	return race(o, id, nil, branches)
}

func race(o Context, id string, was *former, branches []Awaitable) (int, error) {
	var result raceResult
	c := &call{o: o, id: id, kind: KindRace, renaming: renaming{former: was},
		take: func(p Payload) error { return json.Unmarshal(p, &result) }}
	if len(branches) == 0 {
		return -1, c.fault(errors.New("a race needs at least one branch"))
	}
	futures := make([]*future, len(branches))
	for i, b := range branches {
		futures[i] = b.branch()
		if futures[i].s == nil && !futures[i].lost {
			return -1, futures[i].err // it could not begin
		}
	}
	op, err := c.begin()
	if err != nil {
		return -1, err
	}
	if !op.Status.Ended() {
		if err := c.runRace(op, futures); err != nil {
			return -1, err
		}
	}
	if err := c.give(op); err != nil {
		return -1, err
	}
	return winnerOf(c, op, futures, result)
}

// runRace waits for the first branch and records it. An error means that mu is given up.
func (c *call) runRace(o *op, futures []*future) error {
	r := c.run()
	if i := slices.IndexFunc(futures, func(f *future) bool { return f.read }); i >= 0 {
		return c.refuseLocked(o, fmt.Errorf("branch %q was waited for before the race", futures[i].path))
	}
	running := slices.DeleteFunc(slices.Clone(futures), func(f *future) bool { return f.lost })
	if len(running) == 0 {
		return c.refuseLocked(o, fmt.Errorf("%w: all its branches have lost an earlier race", ErrCancelled))
	}
	c.scope().racing = running
	if left, err := r.waitAnyLocked(c.o, running); left {
		return err
	}
	first := r.firstLocked(running)
	if r.phase == phaseLive && !r.ends() && slices.ContainsFunc(running, (*future).waitsForEvent) {
		// An event that another process has raised in time may not be here yet.
		r.fetch = true
		r.changedLocked()
		r.flushLocked(r.changed)
		first = r.firstLocked(running)
	}
	if !r.liveLocked(c.scope()) {
		return r.leaveLocked(c.scope())
	}
	result := raceResult{Winner: first.path}
	for _, f := range running {
		if f == first {
			continue
		}
		result.Losers = append(result.Losers, f.path)
		r.record.lose(f.s.place)
		f.lost = true
		r.cancelBranchLocked(f.s.place, &branchEndedError{"lost race " + o.ID + " to " + first.path})
		r.endBranchLocked(f, ErrCancelled)
		f.err = ErrCancelled
	}
	p, err := json.Marshal(result)
	if err != nil {
		r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: "its winner cannot be recorded: " + err.Error()})
		return r.leaveLocked(c.scope())
	}
	r.heedAllLocked()
	c.scope().racing = nil
	o.Attempts, o.StartedAt = 1, o.ScheduledAt
	r.endLocked(o, StatusSucceeded, p, nil)
	return nil
}

// firstLocked is the branch that ended first, by when its end came about: when the event arrived, when
// the timer was due. It waits for branches that know of such an earlier end, but have not come to their own.
func (r *run) firstLocked(running []*future) *future {
	patient := true
	grace := time.AfterFunc(raceGrace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		patient = false
		r.stirred.Broadcast()
	})
	defer grace.Stop()
	// A branch that it waits for may wait for a commit, and where commits end claims, that waits for all others.
	r.flushers++
	defer func() { r.flushers-- }()
	if r.ends() {
		r.moved.Broadcast() // now they may commit
	}
	for {
		if r.claimed && !r.committing {
			r.fireLocked(now())
		}
		var first *future
		for _, f := range running {
			if f.ended && (first == nil || f.beats(first)) {
				first = f
			}
		}
		late := func(f *future) bool { return r.onItsWay(f, first.at, patient) }
		if r.phase != phaseLive || first.read || !slices.ContainsFunc(running, late) {
			return first
		}
		r.stirred.Wait()
	}
}

// onItsWay reports whether a branch is about to end with something that came about before t: its
// operation has ended, its code has not come again to what is recorded, or, if patient, its code has it.
func (r *run) onItsWay(f *future, t time.Time, patient bool) bool {
	if f.ended || f.s == nil || f.s.isClosed() {
		return false
	}
	return f.s.place.anyScope(func(s *scope) bool {
		if s.closed || s.branch.ended || !s.branch.begun {
			return false
		}
		if o := s.current; o != nil {
			return o.Status.Ended() && o.cameAbout().Before(t) || o.choosing() && o.wait.mail.ArrivedAt.Before(t)
		}
		if s.busy != nil && !s.asking {
			return false // it waits for a branch of its own
		}
		return patient && !s.last.IsZero() && s.last.Before(t) || s.place.unvisited > 0
	})
}

// winnerOf finds the recorded winner among the branches of the code.
func winnerOf(c *call, o *op, futures []*future, result raceResult) (int, error) {
	r := c.run()
	r.mu.Lock()
	winner := r.record.nowAt(result.Winner)
	for i, f := range futures {
		if f.path == winner || f.path == result.Winner {
			r.mu.Unlock()
			return i, nil
		}
	}
	r.blockLocked(Blocked{Operation: o.ID, Source: o.site.String(), Reason: fmt.Sprintf(
		"branch %q won this race, but the code has no such branch in it now", result.Winner)})
	return -1, r.leaveLocked(c.scope())
}

// Map runs a function over items, each in a branch of its own in the scope id, and returns the results
// in the order of the items. key gives each item's branch its id: it must be unique among the items,
// and stay with the item when their order changes. Two items with one key are a *DuplicateKeyError, and nothing begins.
// All items are worked on to their end; the error joins those of the items, each with its key.
func Map[T, R any](
	o Context, id string, items []T, key func(T) string, f func(o Context, item T) (R, error), opts ...MapOption,
) ([]R, error) {
	var m mapOptions
	for _, opt := range opts {
		opt.applyMap(&m)
	}
	keys, err := keysOf(o, id, items, key)
	if err != nil {
		return nil, err
	}
	results, errs := make([]R, len(items)), make([]error, len(items))
	all := Go(o, id, func(o Context) (struct{}, error) {
		futures := make([]*future, len(items))
		next := make([]func(), 0, len(items))
		for i, item := range items {
			futures[i] = &future{}
			next = append(next, futures[i].run(o, keys[i], func(o Context) error {
				v, err := f(o, item)
				results[i] = v
				return err
			}, false))
		}
		runAll(o, futures, next, m.concurrency)
		for i, f := range futures {
			if err := f.wait(o); err != nil {
				errs[i] = fmt.Errorf("%s: %w", keys[i], err)
			}
		}
		return struct{}{}, errors.Join(errs...)
	}, branchOptions{m.former})
	if _, err := all.Wait(o); err != nil {
		if !all.f.hasEnded(o) {
			results = nil // branches may still write to it
		}
		return results, err
	}
	return results, nil
}

// keysOf are the keys of the items, each once. Keys are data: two of a kind are no mistake of the code.
func keysOf[T any](o Context, id string, items []T, key func(T) string) ([]string, error) {
	keys, places := make([]string, len(items)), make(map[string]int, len(items))
	for i, item := range items {
		keys[i] = key(item)
		if first, twice := places[keys[i]]; twice {
			return nil, &DuplicateKeyError{
				OperationID: joinPath(o.scope().path, id), Key: keys[i], First: first, Second: i,
			}
		}
		places[keys[i]] = i
	}
	return keys, nil
}

// runAll begins the prepared branches, so many at a time. When they are cancelled, or have lost a race, no further one
// begins, but those that this pass has records of.
func runAll(o Context, futures []*future, start []func(), limit int) {
	r := o.run()
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit <= 0 || limit > len(start) {
		limit = len(start)
	}
	began := o.Err() == nil // one that begins after a cancellation may be there to clean up
	over := func(f *future) bool {
		return f.s.isClosed() || began && o.Err() != nil && f.s.place.unvisited == 0
	}
	at, wanted, beginning := 0, 0, false
	next := func() {
		if wanted++; beginning {
			return // one has ended at once, the loop below goes on
		}
		beginning = true
		defer func() { beginning = false }()
		for at < len(start) && wanted > 0 {
			f, begin := futures[at], start[at]
			at++
			switch {
			case f.ended: // it could not begin
			case over(f):
				f.then = nil
				r.endBranchLocked(f, ErrCancelled)
			default:
				wanted--
				begin()
			}
		}
	}
	for _, f := range futures {
		f.then = func() {
			r.waitedLocked(o.scope(), f.s) // this waits for all of them, and knows now what f knows
			next()
		}
	}
	for range limit {
		next()
		if r.begun.Load() >= crowd {
			r.mu.Unlock()
			r.giveWay()
			r.mu.Lock()
		}
	}
}
