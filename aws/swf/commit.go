package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
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
	if plan.IsTooLong(h.fold) && c.Close == nil {
		return b.stopLong(ctx, h)
	}
	if err := plan.Denied(h.fold, c); err != nil {
		return lambdabiz.Verdict{Err: err, Held: true}, nil
	}
	if c.Close != nil && !plan.CanClose(h.planned(), c, time.Now()) {
		return b.closeLater(ctx, h, c)
	}
	a, err := b.complete(ctx, h, plan.Commit(b.planning(), h.planned(), c), c)
	if err != nil { // nothing was sent
		return lambdabiz.Verdict{Err: err, Held: true}, nil
	}
	if c.Close != nil && a.IsLong() { // what is too long goes in signals, and after these SWF would refuse
		return b.closeLater(ctx, h, c)
	}
	v := lambdabiz.Verdict{
		Starts: make([]lambdabiz.StartVerdict, len(c.Starts)), Raises: make([]lambdabiz.RaiseVerdict, len(c.Raises)),
		Controls: make([]error, len(c.Controls)),
	}
	if c.Keep && c.Again && a.Plain && h.mayKeep() && b.keepClaim(ctx, h, a) {
		v.Held = true
		b.copyHeld(ctx, h, a)
		return v, nil
	}
	r, err := b.sendAhead(ctx, h, a)
	if err != nil {
		return v, err
	}
	if err := b.respond(ctx, h.task, r); err != nil {
		return b.settleWith(ctx, h, a, v, err)
	}
	return b.answered(ctx, h, a, v)
}

// closeLater answers a decision task that cannot close the run, and asks for the next one.
func (b *Backend) closeLater(ctx context.Context, h *handle, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	a, err := b.complete(ctx, h, plan.Later(b.planning(), h.planned(), c), c)
	if err != nil {
		return lambdabiz.Verdict{Err: err, Held: true}, nil //nolint:nilerr // nothing was sent, the verdict has it
	}
	r, err := b.sendAhead(ctx, h, a)
	if err != nil {
		return lambdabiz.Verdict{}, err
	}
	if err := b.respond(ctx, h.task, r); err != nil {
		return b.settle(ctx, h, err)
	}
	h.answered = true
	return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
}

// mayKeep reports whether the claim may be kept with a commit that goes as a signal.
func (h *handle) mayKeep() bool {
	return time.Now().Before(h.until) && h.fold.Last+h.sent < wire.StopEvents
}

// keepClaim sends the journal as a signal, and reports whether that worked. Readers accept it only from the
// holder of the latest decision task. When SWF has no room for signals the decision is answered instead.
func (b *Backend) keepClaim(ctx context.Context, h *handle, a *plan.Answer) bool {
	j := a.Journal
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

// sendAhead sends what goes ahead of an answer, as signals of the run to itself, and returns the rest.
func (b *Backend) sendAhead(ctx context.Context, h *handle, a *plan.Answer) (*plan.Request, error) {
	r, err := a.Request()
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it was
	}
	for i, part := range r.Ahead {
		h.signals = true
		err := b.signal(ctx, h.fold.Info.ID, h.fold.Home, &wire.Signal{
			Kind: wire.SignalPart, At: a.Journal.At, Fence: h.fence, Part: i, Text: part,
		})
		if err != nil {
			return nil, fmt.Errorf("send a part of a journal: %w", err)
		}
		h.signalled = true
		h.sent++
	}
	return r, nil
}

// respond answers a decision task.
func (b *Backend) respond(ctx context.Context, t *task, r *plan.Request) error {
	_, err := b.client.RespondDecisionTaskCompleted(ctx, &swf.RespondDecisionTaskCompletedInput{
		TaskToken: &t.token, Decisions: r.Decisions, ExecutionContext: &r.Context,
	})
	return err //nolint:wrapcheck // the callers branch on it
}

// answered finishes a commit whose answer SWF has taken. Whether a closing happened only the history says.
func (b *Backend) answered(ctx context.Context, h *handle, a *plan.Answer, v lambdabiz.Verdict) (lambdabiz.Verdict, error) {
	h.answered = true
	if a.Closes {
		end, err := b.lookUp(ctx, h.exec, h.fence, true)
		switch {
		case err != nil || !end.completed:
			return v, errors.Join(lambdabiz.ErrOutcomeUnknown, err)
		case end.refused || !end.closed:
			return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
		}
		b.forget(h.fold.Home)
	}
	b.copyCommit(ctx, h, a)
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
	ctx context.Context, h *handle, a *plan.Answer, v lambdabiz.Verdict, cause error,
) (lambdabiz.Verdict, error) {
	settled, err := b.settle(ctx, h, cause)
	if err == nil && h.answered && errors.Is(settled.Err, lambdabiz.ErrStale) {
		return b.answered(ctx, h, a, v)
	}
	return settled, err
}

// stopLong ends a run whose history is about to reach the limit.
func (b *Backend) stopLong(ctx context.Context, h *handle) (lambdabiz.Verdict, error) {
	b.log.Error("the history is too long, the run ends as FAILED", "orchestration", h.fold.Info.ID, "events", h.fold.Last)
	a, err := plan.TooLong(h.fold, time.Now())
	if err != nil {
		return lambdabiz.Verdict{Err: err}, nil //nolint:nilerr // the verdict has it
	}
	r, err := b.sendAhead(ctx, h, a)
	if err != nil {
		return lambdabiz.Verdict{}, err
	}
	if err := b.respond(ctx, h.task, r); err != nil {
		return b.settle(ctx, h, err)
	}
	if _, err := b.answered(ctx, h, a, lambdabiz.Verdict{}); err != nil {
		return lambdabiz.Verdict{}, err
	}
	return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}, nil
}

// pass answers a decision task that the engine need not see.
func (b *Backend) pass(ctx context.Context, t *task) error {
	h := &handle{task: t}
	a, err := b.complete(ctx, h, plan.Pass(b.planning(), h.planned()), nil)
	if err != nil {
		return err
	}
	if err := b.respondQuietly(ctx, t, a); err != nil {
		return err
	}
	b.copyPassed(ctx, t.fold)
	return nil
}

// giveBack answers a decision task so that the next one comes after a while.
func (b *Backend) giveBack(ctx context.Context, t *task, wait time.Duration) error {
	return b.respondQuietly(ctx, t, plan.GiveBack(t.fence, time.Now(), wait))
}

// closeDuplicate ends a run that is the same start come twice.
func (b *Backend) closeDuplicate(ctx context.Context, t *task) error {
	a, err := plan.Duplicate()
	if err != nil {
		return err //nolint:wrapcheck // it says what it was
	}
	return b.respondQuietly(ctx, t, a)
}

// respondQuietly sends an answer that carries no commit. One that comes too late is no error: the task goes to somebody
// else.
func (b *Backend) respondQuietly(ctx context.Context, t *task, a *plan.Answer) error {
	r, err := b.sendAhead(ctx, &handle{task: t}, a)
	if err == nil {
		err = b.respond(ctx, t, r)
	}
	if isUnknown(err) {
		return nil
	}
	return err
}
