package lambdabiz

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
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
	if !r.goesOn(parent) {
		f.ended, f.err = true, r.leaveAtBeginLocked(parent)
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
	r.cancel.settle(parent)
	if o := r.record.get(path); o != nil && o.path() == path {
		r.blockLocked(Blocked{Operation: path, Source: site.String(), Reason: fmt.Sprintf(
			"recorded as %s %q, the code has a branch now", o.Kind, o.Name)})
		f.ended, f.err = true, r.leaveLocked(parent)
		return start
	}
	defer r.unlock()
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
	r.cancel.heed(f.s)
	start = func() {
		if r.phase != phaseLive && !r.replays() || f.s.isClosed() || f.ended {
			r.endBranch(f, ErrCancelled)
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
	defer r.unlock()
	finished = true
	if p != nil {
		if r.isLive(f.s) {
			r.log().Error("branch panicked", "branch", f.s.path, "panic", p.text, "stack", p.stack)
			r.blockLocked(Blocked{Reason: p.Error(), Operation: f.s.path, Source: p.source, Detail: cut(p.stack, 4<<10)})
		}
		return
	}
	if r.goesOn(f.s) {
		r.endBranch(f, err)
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
	if s.busy != nil && r.isLive(s) {
		r.blockLocked(Blocked{Source: site.String(), Reason: fmt.Sprintf(
			"a context is used by two goroutines at once: the operation at %s has not ended", s.busy)})
		return r.leaveLocked(s)
	}
	if !r.goesOn(s) {
		return r.leaveAtBeginLocked(s)
	}
	s.busy = &site
	r.cancel.settle(s)
	if left, err := r.waitAnyLocked(o, []*future{f}); left {
		return err
	}
	s.busy = nil
	s.knows(f.at)
	if f.s != nil {
		r.cancel.waited(s, f.s)
	}
	r.knowsLocked(r.changed)
	f.read = true
	defer r.unlock()
	return f.err
}

func (f *future) hasEnded(o Context) bool {
	r := o.run()
	r.mu.Lock()
	defer r.unlock()
	return f.ended && !f.lost
}

// waitAnyLocked blocks until one of the futures has ended. A cancellation does not end it: the branches
// end by themselves then, and what they return is the same when the code runs again. It returns with mu
// held, or, when left, without it and with what the caller must return.
func (r *run) waitAnyLocked(o Context, futures []*future) (left bool, err error) {
	s := o.scope()
	for {
		if !r.goesOn(s) {
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
		r.trail.cut(s)
		for _, f := range futures {
			f.waiters = slices.DeleteFunc(f.waiters, func(x *waiter) bool { return x == w })
		}
	}
}
