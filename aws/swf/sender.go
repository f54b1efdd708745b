package swf

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// sender answers decision tasks.
type sender struct{ *service }

// sendAhead sends what goes ahead of an answer, as signals of the run to itself, and returns the rest.
func (s *sender) sendAhead(ctx context.Context, h *handle, a *plan.Answer) (*plan.Request, error) {
	r, err := a.Request()
	if err != nil {
		return nil, err
	}
	for i, part := range r.Ahead {
		h.signals = true
		err := s.signal(ctx, h.fold.Info.ID, h.fold.Home, &wire.Signal{
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
func (s *sender) respond(ctx context.Context, t *task, r *plan.Request) error {
	_, err := s.client.RespondDecisionTaskCompleted(ctx, &swf.RespondDecisionTaskCompletedInput{
		TaskToken: &t.token, Decisions: r.Decisions, ExecutionContext: &r.Context,
	})
	return err //nolint:wrapcheck // the callers branch on it
}

// giveBack answers a decision task so that the next one comes after a while.
func (s *sender) giveBack(ctx context.Context, t *task, wait time.Duration) error {
	return s.respondQuietly(ctx, t, plan.GiveBack(t.fence, time.Now(), wait))
}

// closeDuplicate ends a run that is the same start come twice.
func (s *sender) closeDuplicate(ctx context.Context, t *task) error {
	a, err := plan.Duplicate()
	if err != nil {
		return err
	}
	return s.respondQuietly(ctx, t, a)
}

// respondQuietly sends an answer that carries no commit. One that comes too late is no error: the task goes to somebody
// else.
func (s *sender) respondQuietly(ctx context.Context, t *task, a *plan.Answer) error {
	r, err := s.sendAhead(ctx, &handle{task: t}, a)
	if err == nil {
		err = s.respond(ctx, t, r)
	}
	if isUnknown(err) {
		return nil
	}
	return err
}
