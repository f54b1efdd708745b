package invariant

import (
	"bytes"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// oneOpen: an id has one open run, and no run id twice.
func oneOpen(id string, list []*lambdabiz.Record) []Violation {
	var found []Violation
	open := ""
	seen := map[string]bool{}
	for _, r := range list {
		addf := func(format string, a ...any) {
			found = append(found, Violation{Rule: StartOnce, ID: id, RunID: r.RunID, Problem: fmt.Sprintf(format, a...)})
		}
		if seen[r.RunID] {
			addf("two runs have this run id")
		}
		seen[r.RunID] = true
		if r.Status.Ended() {
			continue
		}
		if open != "" {
			addf("it is open, and so is run %s", open)
		}
		open = r.RunID
	}
	return found
}

// checkHolder: who holds a run is registered.
func (a *runs) checkHolder(p *report) {
	if p.run.Worker == 0 || p.run.Status.Ended() || a.home.Supervised {
		return
	}
	if Holder(a.workers, p.run.Worker) == nil {
		p.addf(NoOrphan, "", "held by worker %d, which is not registered", p.run.Worker)
	}
}

// checkChain: the run that a run continued as is there, and knows it.
func (a *runs) checkChain(p *report) {
	if p.run.ContinuedAs == "" || !a.whole {
		return
	}
	switch next := a.find(p.run.ID, p.run.ContinuedAs); {
	case next == nil && p.options.Purged:
	case next == nil:
		p.addf(Durable, "", "it continued as run %s, which is not there", p.run.ContinuedAs)
	case next.Previous != p.run.RunID || next.Name != p.run.Name:
		p.addf(Durable, "", "it continued as run %s, which is %s and comes after run %q",
			next.RunID, next.Name, next.Previous)
	}
}

// checkChildren compares the operations that started children with these.
func (a *runs) checkChildren(p *report) {
	if !a.whole {
		return
	}
	for i := range p.run.Operations {
		o := &p.run.Operations[i]
		if o.Kind != lambdabiz.KindChild || o.Target == "" {
			continue
		}
		child := a.childOf(p.run, o)
		switch {
		case child == nil:
			a.checkNoChild(p, o)
		case child.Parent.Detached:
		case o.Status.Ended():
			checkOutcome(p, o, child)
		case child.Status.Ended() && !p.run.Status.Ended() && !told(p.run, o):
			p.addf(Conservation, o.ID, "child %s has ended (%s), and no message says so", child.ID, child.Status)
		}
	}
}

// childOf returns the last run of the child that an operation has started.
func (a *runs) childOf(parent *lambdabiz.Record, o *lambdabiz.Operation) *lambdabiz.Record {
	var last *lambdabiz.Record
	for _, r := range a.byID[o.Target] {
		if up := r.Parent; up != nil && up.ID == parent.ID && up.RunID == parent.RunID && up.Operation == o.Number {
			last = r
		}
	}
	return last
}

// checkNoChild: there is none when its start was refused, and when it was purged.
func (a *runs) checkNoChild(p *report, o *lambdabiz.Operation) {
	open := !o.Status.Ended() && !p.run.Status.Ended() && !told(p.run, o)
	if open || o.Status == lambdabiz.StatusSucceeded && !p.options.Purged {
		p.addf(Durable, o.ID, "child %s was started, and is not there", o.Target)
	}
}

// checkOutcome: what the parent has recorded is what the child has. A cancelled wait knows nothing of its child.
func checkOutcome(p *report, o *lambdabiz.Operation, child *lambdabiz.Record) {
	switch {
	case o.Status == lambdabiz.StatusCancelled:
	case o.Status != child.Status:
		p.addf(OneOutcome, o.ID, "it is %s, its child %s is %s", o.Status, child.ID, child.Status)
	case o.Status == lambdabiz.StatusSucceeded && !bytes.Equal(o.Result, child.Result):
		p.addf(OneOutcome, o.ID, "its result is %s, that of child %s is %s", o.Result, child.ID, child.Result)
	}
}

// told reports whether a message of the child's end is in the parent's inbox.
func told(parent *lambdabiz.Record, o *lambdabiz.Operation) bool {
	for i := range parent.Messages {
		if m := &parent.Messages[i]; m.Kind == lambdabiz.MessageChild && m.Operation == o.Number {
			return true
		}
	}
	return false
}
