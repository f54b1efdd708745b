package plan

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// isSentAtOnce reports whether an event goes out before the decision: one that shall be kept for a start to come, for only
// an answer tells whether it must be kept (its key makes a repetition harmless), and one that SWF would refuse.
func isSentAtOnce(r *lambdabiz.Raise) bool {
	return !r.Until.IsZero() || wire.CheckLength("orchestration id", r.ID) != nil
}

// IsRaiseVerdict reports whether a raise that was sent at once has ended with the error. Any other one says that it is to
// be sent again.
func IsRaiseVerdict(err error) bool {
	return err == nil || errors.Is(err, lambdabiz.ErrNotFound) || errors.Is(err, lambdabiz.ErrClosed) ||
		errors.Is(err, lambdabiz.ErrTooLarge)
}

// raise raises an event for another run. It reports whether the operation has ended with it.
func (d *Draft) raise(index int) (done bool, err error) {
	r, at := &d.commit.Raises[index], d.commit.At
	o := d.answer.After.Find(r.Operation)
	if o == nil && r.Operation != 0 {
		return false, fmt.Errorf("raise event %s: the commit has no operation %d", r.Name, r.Operation)
	}
	if isSentAtOnce(r) {
		switch err := d.found.Raised[index]; {
		case o == nil: // nobody waits to hear of it
		case err == nil:
			o.Status, o.EndedAt = lambdabiz.StatusSucceeded, at
		default:
			refuse(o, err, at)
		}
		return true, nil
	}
	if o == nil {
		return false, d.signal(r, at)
	}
	o.Again, o.Key, o.Target, o.Name, o.Input = true, r.Key, r.ID, r.Name, r.Payload
	if rec := d.recorded(o.Number); rec != nil {
		rec.Raise, rec.Target, rec.Name, rec.Input = &wire.Raise{Key: r.Key}, r.ID, r.Name, wire.Payload(r.Payload)
	}
	return false, nil
}

// raiseOf is the event that an operation has raised.
func raiseOf(o *history.Op) *lambdabiz.Raise {
	return &lambdabiz.Raise{ID: o.Target, Name: o.Name, Key: o.Key, Payload: o.Input, Operation: o.Number}
}

// signal adds the decision that raises an event in another run.
func (d *Draft) signal(r *lambdabiz.Raise, at time.Time) error {
	input, err := wire.Fit(fmt.Sprintf("payload of event %q", r.Name), wire.EventOf(r, at))
	if err != nil {
		return err
	}
	text, err := wire.Marshal(&wire.Control{Version: wire.Version, Op: r.Operation, Key: r.Key})
	if err != nil {
		return err
	}
	a := &types.SignalExternalWorkflowExecutionDecisionAttributes{
		WorkflowId: aws.String(wire.EncodeID(r.ID)), SignalName: aws.String(r.Name), Input: &input, Control: &text,
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeSignalExternalWorkflowExecution, SignalExternalWorkflowExecutionDecisionAttributes: a,
	})
	return nil
}

// movesOn reports whether an event is one that the run raises in itself with the commit that continues it as a
// new run: the signal would come to the old one, so it goes to the new one with its start.
func (d *Draft) movesOn(r *lambdabiz.Raise) bool {
	c, i := d.commit, &d.task.Fold.Info
	return c.Close != nil && c.Close.Next != nil && r.ID == i.ID && (r.RunID == "" || r.RunID == i.RunID)
}
