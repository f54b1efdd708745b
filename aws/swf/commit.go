package swf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Commit answers the decision task of each run, and sends what clients ask for. A commit that says no more
// than what has been done, and that may keep its claim, goes as a signal to the run itself while its
// decision task stays open.
func (b *Backend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if !b.beginCall() {
		return nil, errClosed
	}
	defer b.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)() // Close does not wait for a service that does not answer
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i, c := range batch {
		var v lambdabiz.Verdict
		var err error
		if c.Run == nil {
			v, err = b.outside(ctx, c)
		} else {
			v, err = b.commitRun(ctx, c)
		}
		if err != nil {
			if len(batch) == 1 {
				return nil, err
			}
			v = lambdabiz.Verdict{Err: err}
		}
		verdicts[i] = v
	}
	return verdicts, nil
}

// commitRun answers a decision task. The verdict's error is of this commit alone, the other one of the service.
func (b *Backend) commitRun(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	h, ok := c.Run.Handle.(*handle)
	if !ok || c.Run.Fence != h.fence || h.fold.Info.RunID != c.Run.RunID {
		return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answered {
		return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}, nil
	}
	if h.fold.Last >= wire.StopEvents && c.Close == nil {
		return b.stopLong(ctx, h)
	}
	if err := whyDenied(h.fold, c); err != nil {
		return lambdabiz.Verdict{Err: err, Held: true}, nil
	}
	if c.Close != nil && h.fold.CloseBefore.After(now()) {
		return b.closeLater(ctx, h, c)
	}
	if c.Close != nil && (h.signals || leavesChildren(h.fold, c)) { // with signals SWF would refuse: they are news to it
		return b.closeLater(ctx, h, c)
	}
	d, v, err := b.decide(ctx, h, c)
	if err != nil { // nothing was sent
		return lambdabiz.Verdict{Err: err, Held: true}, nil
	}
	if c.Close != nil && d.isLong() { // what is too long goes in signals, and after these SWF would refuse
		return b.closeLater(ctx, h, c)
	}
	if c.Keep && c.Again && d.plain && time.Now().Before(h.until) && h.fold.Last+h.sent < wire.StopEvents {
		if held := b.keepClaim(ctx, h, d); held {
			v.Held = true
			b.copyHeld(ctx, h, d)
			return v, nil
		}
	}
	if err := b.sendAhead(ctx, h, d); err != nil {
		return v, err
	}
	if err := b.respond(ctx, h, d); err != nil {
		return b.settleWith(ctx, h, d, v, err)
	}
	return b.answered(ctx, h, d, v)
}

// closeLater answers a decision task that cannot close the run, and asks for the next one. What has ended is
// recorded all the same: the process may not live to see that. Children that were cancelled are asked to end first:
// a run that has closed could not ask again.
func (b *Backend) closeLater(ctx context.Context, h *handle, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	d := &decision{after: h.fold.Clone(), journal: wire.Journal{At: c.At, Started: c.Started, Skip: true, Again: true}}
	ended := *c
	ended.Operations = slices.DeleteFunc(slices.Clone(c.Operations), func(o lambdabiz.Operation) bool {
		return !o.Status.Ended() || o.Kind == lambdabiz.KindEvent
	})
	b.journalOps(d, &ended)
	if err := b.cancelChildren(ctx, d, d.after); err != nil {
		return lambdabiz.Verdict{Err: err, Held: true}, nil //nolint:nilerr // nothing was sent, the verdict has it
	}
	if err := b.sendAhead(ctx, h, d); err != nil {
		return lambdabiz.Verdict{}, err
	}
	if !h.signalled {
		wait := time.Duration(0)
		if len(d.decisions) == 0 && leavesChildren(h.fold, c) || h.fold.CloseBefore.After(now()) {
			wait = time.Second // SWF has yet to start the child, or to hand on what it was told
		}
		d.add(wakeTimerOf(h.fence, c.At, wait))
	}
	if err := b.respond(ctx, h, d); err != nil {
		return b.settle(ctx, h, err)
	}
	h.answered = true
	return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
}

// keepClaim sends the journal as a signal, and reports whether that worked. Readers accept it only from the
// holder of the latest decision task. When SWF has no room for signals the decision is answered instead.
func (b *Backend) keepClaim(ctx context.Context, h *handle, d *decision) bool {
	j := d.journal
	err := b.signal(ctx, h.fold.Info.ID, h.fold.Home, &wire.Signal{
		Kind: wire.SignalJournal, At: j.At, Fence: h.fence, Journal: &j,
	})
	if h.signals = h.signals || !errors.Is(err, lambdabiz.ErrTooLarge); err == nil {
		h.signalled = true
	}
	h.sent++
	if err != nil {
		b.log.Debug("a journal was not sent as a signal", "orchestration", h.fold.Info.ID, "error", err)
	}
	return err == nil && time.Now().Before(h.until)
}

// respond sends the answer.
func (b *Backend) respond(ctx context.Context, h *handle, d *decision) error {
	decisions := d.decisions
	d.journal.Version = wire.Version
	text, err := wire.Marshal(&d.journal)
	if d.ahead > 0 {
		text, err = wire.Marshal(&wire.Journal{Version: wire.Version, Parts: d.ahead, Ahead: true})
	}
	if err != nil {
		return err
	}
	if wire.Units(text) > wire.MaxChars {
		parts := wire.Split(text)
		markers := make([]types.Decision, 0, len(parts))
		for _, part := range parts {
			markers = append(markers, types.Decision{
				DecisionType: types.DecisionTypeRecordMarker,
				RecordMarkerDecisionAttributes: &types.RecordMarkerDecisionAttributes{
					MarkerName: aws.String(wire.JournalMarker), Details: aws.String(part),
				},
			})
		}
		decisions = append(markers, decisions...)
		if text, err = wire.Marshal(&wire.Journal{Version: wire.Version, Parts: len(parts)}); err != nil {
			return err
		}
	}
	_, err = b.client.RespondDecisionTaskCompleted(ctx, &swf.RespondDecisionTaskCompletedInput{
		TaskToken: &h.token, Decisions: decisions, ExecutionContext: &text,
	})
	return err //nolint:wrapcheck // the callers branch on it
}

// answered finishes a commit whose answer SWF has taken. Whether a closing happened only the history says.
func (b *Backend) answered(ctx context.Context, h *handle, d *decision, v lambdabiz.Verdict) (lambdabiz.Verdict, error) {
	h.answered = true
	if d.closes {
		a, err := b.lookUp(ctx, h.exec, h.fence, true)
		switch {
		case err != nil || !a.completed:
			return v, errors.Join(lambdabiz.ErrOutcomeUnknown, err)
		case a.refused || !a.closed:
			return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
		}
		b.forget(h.fold.Home)
	}
	b.copyCommit(ctx, h, d)
	return v, nil
}

// settle finds out what became of an answer that SWF has not taken with a word.
func (b *Backend) settle(ctx context.Context, h *handle, cause error) (lambdabiz.Verdict, error) {
	if isAnswered(cause) && !isUnknown(cause) {
		return lambdabiz.Verdict{Err: fmt.Errorf("answer decision task: %w", cause)}, nil
	}
	a, err := b.lookUp(ctx, h.exec, h.fence, false)
	switch {
	case err != nil:
		return lambdabiz.Verdict{}, errors.Join(lambdabiz.ErrOutcomeUnknown, cause, err)
	case a.completed:
		h.answered = true
		return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
	case isUnknown(cause): // its time is over, or the run has ended
		h.answered = true
		return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}, nil
	default:
		return lambdabiz.Verdict{}, fmt.Errorf("answer decision task: %w", cause)
	}
}

// settleWith is settle for an answer with a commit: when the history has it, it was applied.
func (b *Backend) settleWith(
	ctx context.Context, h *handle, d *decision, v lambdabiz.Verdict, cause error,
) (lambdabiz.Verdict, error) {
	settled, err := b.settle(ctx, h, cause)
	if err == nil && h.answered && errors.Is(settled.Err, lambdabiz.ErrStale) {
		return b.answered(ctx, h, d, v)
	}
	return settled, err
}

// stopLong ends a run whose history is about to reach the limit, where SWF would end it without a word.
func (b *Backend) stopLong(ctx context.Context, h *handle) (lambdabiz.Verdict, error) {
	b.log.Error("the history is too long, the run ends as FAILED", "orchestration", h.fold.Info.ID, "events", h.fold.Last)
	d := &decision{closes: true, journal: wire.Journal{At: now(), Closing: true}}
	c := &lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: &lambdabiz.Failure{Message: fmt.Sprintf(
		"its history has %d events and Amazon SWF ends a run at %d: let the orchestration return ContinueAsNew in time",
		h.fold.Last, wire.MaxEvents)}}
	if err := d.close(c); err != nil {
		return lambdabiz.Verdict{Err: err}, nil //nolint:nilerr // the verdict has it
	}
	if err := b.respond(ctx, h, d); err != nil {
		return b.settle(ctx, h, err)
	}
	if _, err := b.answered(ctx, h, d, lambdabiz.Verdict{}); err != nil {
		return lambdabiz.Verdict{}, err
	}
	return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}, nil
}

// pass answers a decision task that the engine need not see. What waits for room is begun if there is some.
func (b *Backend) pass(ctx context.Context, t *task) error {
	d := &decision{journal: wire.Journal{Skip: true}}
	if !t.fold.Info.Paused {
		refused, err := b.begin(ctx, d, t.fold.Clone(), t.list)
		if err != nil {
			return err
		}
		if d.journal.Again = refused; refused || d.more { // for the engine, and for the rest
			d.add(wakeTimerOf(t.fence, now(), 0))
		} else if !d.retry.IsZero() && (t.fold.Wake == nil || t.fold.Wake.At.After(d.retry)) {
			d.add(wakeTimerOf(t.fence, d.retry, time.Until(d.retry)))
		}
	}
	if err := b.quietly(b.respond(ctx, &handle{task: t}, d)); err != nil {
		return err
	}
	b.copyPassed(ctx, t.fold)
	return nil
}

// giveBack answers a decision task so that the next one comes after a while.
func (b *Backend) giveBack(ctx context.Context, t *task, wait time.Duration) error {
	d := &decision{journal: wire.Journal{Skip: true}, decisions: []types.Decision{wakeTimerOf(t.fence, now(), wait)}}
	return b.quietly(b.respond(ctx, &handle{task: t}, d))
}

// closeDuplicate ends a run that is the same start come twice.
func (b *Backend) closeDuplicate(ctx context.Context, t *task) error {
	text, err := wire.Marshal(&wire.Outcome{
		Version: wire.Version, Status: lambdabiz.StatusTerminated, Duplicate: true,
		Error: &lambdabiz.Failure{Message: "the start came twice; the run that it has begun has ended"},
	})
	if err != nil {
		return err
	}
	d := &decision{journal: wire.Journal{Skip: true}, decisions: []types.Decision{{
		DecisionType: types.DecisionTypeFailWorkflowExecution,
		FailWorkflowExecutionDecisionAttributes: &types.FailWorkflowExecutionDecisionAttributes{
			Reason: aws.String("duplicate start"), Details: &text,
		},
	}}}
	return b.quietly(b.respond(ctx, &handle{task: t}, d))
}

// quietly drops the error of an answer that came too late: the task goes to somebody else.
func (b *Backend) quietly(err error) error {
	if isUnknown(err) {
		return nil
	}
	return err
}

// consumedBy reports whether a commit has consumed a message.
func consumedBy(c *lambdabiz.Commit, number int64) bool { return slices.Contains(c.Consumed, number) }
