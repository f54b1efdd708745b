package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// committer makes commits: each answers a decision task, or changes something from outside.
type committer struct {
	*service
	life      *lifetime
	histories *histories
	folds     *folds
	mirror    *mirror
	completer *completer
	sender    *sender
	outside   *outside
}

// commit answers the decision task of each run, and sends what clients ask for. A commit that says no more
// than what has been done, and that may keep its claim, goes as a signal to the run itself while its
// decision task stays open.
func (m *committer) commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if !m.life.beginCall() {
		return nil, errClosed
	}
	defer m.life.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.life.ctx, cancel)() // Close does not wait for a service that does not answer
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i, c := range batch {
		var v lambdabiz.Verdict
		var err error
		if c.Run == nil {
			v, err = m.outside.commit(ctx, c)
		} else {
			v, err = m.commitRun(ctx, c)
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
func (m *committer) commitRun(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
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
		return m.stopLong(ctx, h)
	}
	if err := plan.Denied(h.fold, c); err != nil {
		return lambdabiz.Verdict{Err: err, Held: true}, nil
	}
	if c.Close != nil && !plan.CanClose(h.planned(), c, time.Now()) {
		return m.closeLater(ctx, h, c)
	}
	a, err := m.completer.commit(ctx, h, c)
	if err != nil { // nothing was sent
		return lambdabiz.Verdict{Err: err, Held: true}, nil
	}
	if c.Close != nil && a.IsLong() { // what is too long goes in signals, and after these SWF would refuse
		return m.closeLater(ctx, h, c)
	}
	v := lambdabiz.Verdict{
		Starts: make([]lambdabiz.StartVerdict, len(c.Starts)), Raises: make([]lambdabiz.RaiseVerdict, len(c.Raises)),
		Controls: make([]error, len(c.Controls)),
	}
	if c.Keep && c.Again && a.Plain && h.mayKeep() && m.keepClaim(ctx, h, a) {
		v.Held = true
		m.mirror.copyHeld(ctx, h, a)
		return v, nil
	}
	r, err := m.sender.sendAhead(ctx, h, a)
	if err != nil {
		return v, err
	}
	if err := m.sender.respond(ctx, h.task, r); err != nil {
		return m.settleWith(ctx, h, a, v, err)
	}
	return m.answered(ctx, h, a, v)
}

// closeLater answers a decision task that cannot close the run, and asks for the next one.
func (m *committer) closeLater(ctx context.Context, h *handle, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	a, err := m.completer.later(ctx, h, c)
	if err != nil {
		return lambdabiz.Verdict{Err: err, Held: true}, nil //nolint:nilerr // nothing was sent, the verdict has it
	}
	r, err := m.sender.sendAhead(ctx, h, a)
	if err != nil {
		return lambdabiz.Verdict{}, err
	}
	if err := m.sender.respond(ctx, h.task, r); err != nil {
		return m.settle(ctx, h, err)
	}
	h.answered = true
	return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
}

// keepClaim sends the journal as a signal, and reports whether that worked. Readers accept it only from the
// holder of the latest decision task. When SWF has no room for signals the decision is answered instead.
func (m *committer) keepClaim(ctx context.Context, h *handle, a *plan.Answer) bool {
	j := a.Journal
	err := m.signal(ctx, h.fold.Info.ID, h.fold.Home, &wire.Signal{
		Kind: wire.SignalJournal, At: j.At, Fence: h.fence, Journal: &j,
	})
	if h.signals = h.signals || !errors.Is(err, lambdabiz.ErrTooLarge); err == nil {
		h.signalled = true
	}
	h.sent++
	if err != nil {
		m.log.Debug("a journal was not sent as a signal", "orchestration", h.fold.Info.ID, "error", err)
	}
	return err == nil && time.Now().Before(h.until)
}

// answered finishes a commit whose answer SWF has taken. Whether a closing happened only the history says.
func (m *committer) answered(ctx context.Context, h *handle, a *plan.Answer, v lambdabiz.Verdict) (lambdabiz.Verdict, error) {
	h.answered = true
	if a.Closes {
		end, err := m.histories.lookUp(ctx, h.exec, h.fence, true)
		switch {
		case err != nil || !end.completed:
			return v, errors.Join(lambdabiz.ErrOutcomeUnknown, err)
		case end.refused || !end.closed:
			return lambdabiz.Verdict{Err: lambdabiz.ErrStale}, nil
		}
		m.folds.forget(h.fold.Home)
		m.mirror.forget(h.fold.Home)
	}
	m.mirror.copyCommit(ctx, h, a)
	return v, nil
}

// settle finds out what became of an answer that SWF has not taken with a word.
func (m *committer) settle(ctx context.Context, h *handle, cause error) (lambdabiz.Verdict, error) {
	if isAnswered(cause) && !isUnknown(cause) {
		return lambdabiz.Verdict{Err: fmt.Errorf("answer decision task: %w", cause)}, nil
	}
	a, err := m.histories.lookUp(ctx, h.exec, h.fence, false)
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
func (m *committer) settleWith(
	ctx context.Context, h *handle, a *plan.Answer, v lambdabiz.Verdict, cause error,
) (lambdabiz.Verdict, error) {
	settled, err := m.settle(ctx, h, cause)
	if err == nil && h.answered && errors.Is(settled.Err, lambdabiz.ErrStale) {
		return m.answered(ctx, h, a, v)
	}
	return settled, err
}

// stopLong ends a run whose history is about to reach the limit.
func (m *committer) stopLong(ctx context.Context, h *handle) (lambdabiz.Verdict, error) {
	m.log.Error("the history is too long, the run ends as FAILED", "orchestration", h.fold.Info.ID, "events", h.fold.Last)
	a, err := plan.TooLong(h.fold, time.Now())
	if err != nil {
		return lambdabiz.Verdict{Err: err}, nil //nolint:nilerr // the verdict has it
	}
	r, err := m.sender.sendAhead(ctx, h, a)
	if err != nil {
		return lambdabiz.Verdict{}, err
	}
	if err := m.sender.respond(ctx, h.task, r); err != nil {
		return m.settle(ctx, h, err)
	}
	if _, err := m.answered(ctx, h, a, lambdabiz.Verdict{}); err != nil {
		return lambdabiz.Verdict{}, err
	}
	return lambdabiz.Verdict{Err: lambdabiz.ErrFenced}, nil
}

// pass answers a decision task that the engine need not see.
func (m *committer) pass(ctx context.Context, t *task) error {
	h := &handle{task: t}
	a, err := m.completer.pass(ctx, h)
	if err != nil {
		return err
	}
	if err := m.sender.respondQuietly(ctx, t, a); err != nil {
		return err
	}
	m.mirror.copyPassed(ctx, t.fold)
	return nil
}
