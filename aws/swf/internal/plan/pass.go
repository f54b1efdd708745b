package plan

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Pass plans the answer to a decision task that the engine need not see. What waits for room is begun if there is some.
func Pass(config Config, t Task) *Draft {
	d := draft(config, t)
	d.complete = (*Draft).pass
	d.answer.Journal.Skip = true
	if !t.Fold.Info.Paused {
		d.wantChildren()
	}
	return d
}

func (d *Draft) pass() error {
	if d.task.Fold.Info.Paused {
		return nil
	}
	refused, err := d.begin()
	if err != nil {
		return err
	}
	wake := d.task.Fold.Wake
	if d.answer.Journal.Again = refused; refused || d.more { // for the engine, and for the rest
		d.add(wakeTimer(d.task.Fence, wire.Stamp(d.now), 0))
	} else if !d.retry.IsZero() && (wake == nil || wake.At.After(d.retry)) {
		d.add(wakeTimer(d.task.Fence, d.retry, d.retry.Sub(d.now)))
	}
	return nil
}

// Later plans the answer to a decision task that cannot close the run, and asks for the next one. What has ended is
// recorded all the same: the process may not live to see that. Children that were cancelled are asked to end.
func Later(config Config, t Task, c *lambdabiz.Commit) *Draft {
	d := draft(config, t)
	d.commit, d.complete = c, (*Draft).later
	d.answer.Journal = wire.Journal{At: c.At, Started: c.Started, Skip: true, Again: true}
	d.take(slices.DeleteFunc(slices.Clone(c.Operations), func(o lambdabiz.Operation) bool {
		return !o.Status.Ended() || o.Kind == lambdabiz.KindEvent
	}))
	d.wantChildren()
	return d
}

func (d *Draft) later() error {
	if err := d.cancelChildren(); err != nil {
		return err
	}
	if d.task.Arrived {
		return nil // the next decision task comes by itself
	}
	text, err := d.answer.text()
	if err != nil || isLong(text) { // so it does after what goes ahead
		return err
	}
	f, wait := d.task.Fold, time.Duration(0)
	if len(d.answer.Decisions) == 0 && leavesChildren(f, d.commit) || f.CloseBefore.After(wire.Stamp(d.now)) {
		wait = time.Second // SWF has yet to start the child, or to hand on what it was told
	}
	d.add(wakeTimer(d.task.Fence, d.commit.At, wait))
	return nil
}

// GiveBack is the answer to a decision task so that the next one comes after a while.
func GiveBack(fence int64, now time.Time, wait time.Duration) *Answer {
	return &Answer{
		Journal: wire.Journal{Skip: true}, Decisions: []types.Decision{wakeTimer(fence, wire.Stamp(now), wait)},
	}
}
