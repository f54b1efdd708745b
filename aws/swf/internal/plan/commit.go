package plan

import (
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Commit plans the answer that carries a commit.
func Commit(config Config, t Task, c *lambdabiz.Commit) *Draft {
	d := draft(config, t)
	d.commit, d.complete = c, (*Draft).decide
	d.answer.Journal = wire.Journal{
		At: c.At, Consumed: c.Consumed, Progress: wire.Payload(c.Progress), Started: c.Started, WakeAt: c.WakeAt,
	}
	d.take(c.Operations)
	for i := range c.Starts {
		d.wantReserved(i)
	}
	for i := range c.Raises {
		if r := &c.Raises[i]; d.has(r.Operation) && !d.movesOn(r) && isSentAtOnce(r) {
			d.Wants.Raises = append(d.Wants.Raises, i)
		}
	}
	for i := range c.Controls {
		// The cancellation of a child follows from its operation, which has ended as CANCELLED; see cancelChildren.
		if c.Controls[i].Kind != lambdabiz.ControlCancel || c.Controls[i].Parent == nil {
			d.Wants.Controls = append(d.Wants.Controls, i)
		}
	}
	if c.Close == nil {
		d.wantChildren()
	}
	return d
}

// take puts operations into the journal and into the run as it will be.
func (d *Draft) take(operations []lambdabiz.Operation) {
	attempts := map[int64]*wire.Attempt{}
	for _, a := range d.commit.Attempts {
		attempts[a.Operation] = &wire.Attempt{Local: a.Local, Timeout: a.Timeout, Heartbeat: a.Heartbeat, Key: a.Key}
	}
	after := d.answer.After
	for i := range operations {
		op := operations[i]
		op.Error = wire.Shrink(op.Error, wire.MaxPayload)
		rec := wire.RecordOf(&op)
		rec.Attempt = attempts[op.Number]
		if old := after.Find(op.Number); old != nil && old.Status.Ended() && old.Tried == nil && rec.Attempt == nil &&
			reflect.DeepEqual(wire.RecordOf(&old.Operation), rec) {
			continue // a decision before has recorded it, because the run could not close
		}
		d.answer.Journal.Ops = append(d.answer.Journal.Ops, rec)
		o := after.Put(&rec)
		if o.Status.Ended() && o.Open != 0 {
			d.stop(o)
		}
		d.timeouts = d.timeouts || op.Kind == lambdabiz.KindEvent && op.Status == lambdabiz.StatusTimeout
	}
}

// stop asks SWF to stop what is open for an operation that has ended otherwise. A Lambda function cannot be stopped; a
// child is asked to cancel by cancelChildren.
func (d *Draft) stop(o *history.Op) {
	switch {
	case o.Kind == lambdabiz.KindTimer:
		d.add(cancelTimer(o.HomeID))
		d.answer.After.StopTimer(o)
	case (o.Kind == lambdabiz.KindTask || o.Kind == lambdabiz.KindService) && o.Attempt != nil && o.Attempt.Local && !o.Stopping:
		o.Stopping = true
		d.add(types.Decision{
			DecisionType: types.DecisionTypeRequestCancelActivityTask,
			RequestCancelActivityTaskDecisionAttributes: &types.RequestCancelActivityTaskDecisionAttributes{
				ActivityId: aws.String(o.HomeID),
			},
		})
	}
}

// decide completes the answer that carries a commit.
func (d *Draft) decide() error {
	c := d.commit
	again := c.Again
	for i := range c.Starts {
		refused, err := d.startChild(i)
		if err != nil {
			return err
		}
		again = again || refused
	}
	for i := range c.Raises {
		if d.movesOn(&c.Raises[i]) {
			continue
		}
		done, err := d.raise(i)
		if err != nil {
			return err
		}
		again = again || done
	}
	begin := d.begin
	if c.Close != nil {
		begin = d.beginLast
	}
	refused, err := begin()
	if err != nil {
		return err
	}
	again = again || refused
	d.refresh()
	if c.Close != nil {
		return d.end()
	}
	wake := d.due()
	d.answer.Plain = len(d.answer.Decisions) == 0 && c.Release == nil && !d.timeouts && !d.more && d.retry.IsZero()
	if d.answer.Journal.Again = again; again && !d.task.Arrived && (wake.IsZero() || wake.After(c.At)) {
		wake = c.At // after a signal the next decision task comes by itself
	}
	d.wakeAt(wake)
	return nil
}

// refresh gives the operations of the journal as they are after the starts and raises of its commit.
func (d *Draft) refresh() {
	ops := d.answer.Journal.Ops
	for i := range ops {
		if o := d.answer.After.Find(ops[i].Number); o != nil && o.Status != ops[i].Status {
			was := ops[i]
			ops[i] = wire.RecordOf(&o.Operation)
			ops[i].Attempt, ops[i].Child, ops[i].Raise = was.Attempt, was.Child, was.Raise
		}
	}
}

// due is when the run needs its next decision, at the latest; zero for never by time.
func (d *Draft) due() time.Time {
	j := &d.answer.Journal
	wake := d.commit.WakeAt
	if r := d.commit.Release; r != nil {
		j.Release, j.Blocked, j.WakeAt = true, r.Blocked, r.WakeAt
		wake = r.WakeAt
	}
	switch {
	case d.more:
		return d.commit.At
	case !d.retry.IsZero() && (wake.IsZero() || d.retry.Before(wake)):
		return d.retry
	default:
		return wake
	}
}
