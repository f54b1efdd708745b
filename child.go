package lambdabiz

import (
	"encoding/json"
	"fmt"
)

// CallChild starts another orchestration and waits for its outcome. The start commits together with
// the operation, the outcome with the child's end. Its failure is an *OrchestrationError. The child's
// id is this orchestration's id, "~-", and the operation's path, unless [ChildID] gives another: nobody else can have
// that id. An input that cannot be decoded into In again is ErrInvalidPayload, and nothing is recorded. An id with an
// open run is ErrExists; one that [ChildID] gives must not have been used at all. When the parent
// is cancelled, so is the child.
func CallChild[In, Out any](
	o Context, id string, d *Definition[In, Out], in In, opts ...ChildOption,
) (Out, error) {
	return callChild[Out](o, id, d.spec, in, opts, func(string) {})
}

// CallChildByName is [CallChild] for a definition that is known by name only, like the caller itself.
func CallChildByName[Out any](o Context, id, name string, in any, opts ...ChildOption) (Out, error) {
	return callChild[Out](o, id, namedDefinition(o, name), in, opts, func(string) {})
}

// namedDefinition is the definition that the engine knows by the name, or one of which no more is known.
func namedDefinition(o Context, name string) *definitionSpec {
	if d := o.run().registry.definition(name); d != nil {
		return d
	}
	return &definitionSpec{name: name}
}

// callChild calls begun with the child's id when the child's start is recorded, or is about to be with the next commit.
func callChild[Out any](
	o Context, id string, d *definitionSpec, in any, opts []ChildOption, begun func(id string),
) (Out, error) {
	var zero Out
	r := o.run()
	child := childOptionsOf(opts)
	c := ask[Out](o, id, KindChild, "result")
	c.name, c.input, c.hasInput, c.renaming, c.intercepted = d.name, in, true, child.renaming, r.env.intercepted(&c.out)
	op, err := c.begin()
	if err != nil {
		return zero, err
	}
	if op.Number == 0 {
		if err := c.readsLocked(op, func() error { return r.env.readsInput(d, in, c.encoded) }); err != nil {
			return zero, err
		}
		if err := c.startChildLocked(op, false, child.RunStart); err != nil {
			return zero, err
		}
	}
	begun(op.Target)
	if err := c.await(op); err != nil {
		return zero, err
	}
	if err := c.give(op); err != nil {
		return zero, err
	}
	return c.out, nil
}

// StartChild starts another orchestration and does not wait for it: it goes on when this one ends, and
// is not cancelled with it. It returns the child's id after the commit that starts it. The default id
// is that of [CallChild], and so are the rules for used ids: in a loop that continues as new, a child that
// may still be open in the next run needs an id of its own, by [ChildID].
func StartChild[In, Out any](
	o Context, id string, d *Definition[In, Out], in In, opts ...ChildOption,
) (string, error) {
	r := o.run()
	var out string
	child := childOptionsOf(opts)
	c := &call{o: o, id: id, kind: KindChild, name: d.spec.name, input: in, hasInput: true, renaming: child.renaming,
		to: plainJSON{&out}}
	op, err := c.begin()
	if err != nil {
		return "", err
	}
	if op.Number == 0 {
		if err := c.readsLocked(op, func() error { return r.env.readsInput(d.spec, in, c.encoded) }); err != nil {
			return "", err
		}
		if err := c.startChildLocked(op, true, child.RunStart); err != nil {
			return "", err
		}
	}
	if err := c.await(op); err != nil {
		return "", err
	}
	if !op.loaded && !r.env.desc.performs(KindChild) && !r.flushLocked(r.changed) {
		return "", r.leaveLocked(c.scope())
	}
	if err := c.give(op); err != nil {
		return "", err
	}
	return out, nil
}

func childOptionsOf(opts []ChildOption) childOptions {
	if len(opts) == 0 {
		return childOptions{}
	}
	c := &childOptions{}
	for _, opt := range opts {
		opt.applyChild(c)
	}
	return *c
}

// readsLocked refuses a new operation whose input nobody could read, as reads says. That calls the author's codec, without
// mu. An error means that mu is given up.
func (c *call) readsLocked(o *op, reads func() error) error {
	r := c.run()
	r.unlock()
	err := reads()
	r.mu.Lock()
	r.spareLocked() // others have gone on meanwhile
	switch {
	case !r.isLive(c.scope()):
		return r.leaveLocked(c.scope())
	case err != nil:
		return c.refuseLocked(o, err)
	}
	return nil
}

// startChildLocked records the operation with the start. An error means that mu is given up.
func (c *call) startChildLocked(o *op, detached bool, s RunStart) error {
	r := c.run()
	given := s.Policy != UseExisting
	if !given { // the default id may have had a child in an earlier run of this orchestration
		s.ID, s.Policy = childID(r.info.ID, o.ID), RejectOpen
	}
	s.RunID, s.Name, s.Input = r.env.runID(r.info.ID, r.info.RunID, o.ID), o.Name, o.Input
	err := r.env.desc.checkStart(&s)
	if given && err == nil {
		err = checkGivenID(s.ID)
	}
	if err != nil {
		return c.refuseLocked(o, err)
	}
	result, err := json.Marshal(s.ID) // the engine's own value: plain JSON whatever the codec
	if err != nil {
		return c.refuseLocked(o, fmt.Errorf("encode child id: %w", err))
	}
	s.Claim = !r.isByHand() && r.env.owner.wants(s.Name)
	o.Attempts, o.StartedAt, o.Target = 1, now(), s.ID
	o.Status = StatusStarted
	r.touch(o)
	if detached && !r.env.desc.performs(KindChild) {
		r.end(o, StatusSucceeded, result, nil) // or refused, by the verdict on its commit
	}
	s.Operation = o.Number
	s.Parent = &Parent{ID: r.info.ID, RunID: r.info.RunID, Operation: o.Number, Detached: detached}
	r.pending.starts = append(r.pending.starts, s)
	return nil
}
