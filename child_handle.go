package lambdabiz

import "slices"

// Child is a child that goes on beside the orchestration that has begun it with [GoChild].
type Child[Out any] struct {
	*Future[Out]
	id string
}

// ID returns the child's orchestration id, to raise events in it, say.
func (c *Child[Out]) ID() string { return c.id }

// GoChild begins a child as [CallChild] does, in a branch of its own, and returns its handle: [Future.Wait] gives its outcome,
// and a [Race] may choose it. The child's start commits at latest with the next operation that the calling code makes, so an
// event that it raises in the child finds it. The operation is called "child" in the branch's scope. What is
// begun and not waited for is cancelled when the orchestration's function returns; [StartChild] is for a child that goes on.
func GoChild[In, Out any](o Context, id string, d *Definition[In, Out], in In, opts ...ChildOption) *Child[Out] {
	const operation = "child"
	s := o.scope()
	child := &Child[Out]{id: childID(o.ID(), joinPath(joinPath(s.path, id), operation))}
	if given := childOptionsOf(opts).ID; given != "" {
		child.id = given
	}
	child.Future = Go(o, id, func(o Context) (Out, error) {
		return callChild[Out](o, operation, d.spec, in, opts, func(id string) {
			child.id = id // another one when it is recorded under a former id
			o.run().tellBegan(o.scope().branch)
		})
	})
	child.f.awaitTold(o)
	return child
}

// tellBegan is called in a child's branch when the child has its id. It wakes the code that has begun the branch.
func (b *book) tellBegan(f *future) {
	f.told = true
	for _, w := range f.waiters {
		b.wake(w)
	}
}

// awaitTold blocks the code that has begun the branch until the branch has called tellBeganLocked, or has ended. Its waiter
// has no operation, as that of a wait for a branch: new operations that are held until all other code waits (see
// guardLocked) do not wait for this one.
func (f *future) awaitTold(o Context) {
	r, s := o.run(), o.scope()
	r.mu.Lock()
	defer r.unlock()
	for f.begun && !f.ended && !f.told && r.goesOn(s) {
		w := &waiter{}
		f.waiters = append(f.waiters, w)
		r.waitLocked(s, w)
		f.waiters = slices.DeleteFunc(f.waiters, func(x *waiter) bool { return x == w })
	}
}
