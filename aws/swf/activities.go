package swf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// activities gives the engine the attempts of tasks and services, and tells SWF what they have come to.
type activities struct {
	*service
	config *Config
	*activityLists
}

// taskHandle is the right to end an attempt: lambdabiz.TaskClaim.Handle.
type taskHandle struct {
	token string
	mu    sync.Mutex
	ended bool
}

// next takes an activity of the kind's task list. It waits for a long poll of SWF, or until ctx ends.
func (q *activities) next(ctx context.Context, r lambdabiz.TaskRequest) (*lambdabiz.TaskClaim, error) {
	queue := r.Queue
	orDefault(&queue, q.config.TaskList)
	name := wire.WorkList(wire.EncodeID(queue), r.Kind)
	return q.of(name, func(ctx context.Context) (*lambdabiz.TaskClaim, error) { return q.pollActivity(ctx, name) }).next(ctx)
}

func (q *activities) pollActivity(ctx context.Context, name string) (*lambdabiz.TaskClaim, error) {
	out, err := q.poller.PollForActivityTask(ctx, &swf.PollForActivityTaskInput{
		Domain: &q.domain, TaskList: &types.TaskList{Name: &name}, Identity: identity(),
	}, pollOnce)
	if err != nil {
		return nil, fmt.Errorf("poll activity task list %s: %w", name, err)
	}
	if aws.ToString(out.TaskToken) == "" {
		return nil, nil //nolint:nilnil // an empty answer is no error
	}
	c := &lambdabiz.TaskClaim{
		ID: wire.DecodeID(aws.ToString(out.WorkflowExecution.WorkflowId)), RunID: aws.ToString(out.WorkflowExecution.RunId),
		Handle: &taskHandle{token: *out.TaskToken}, BeatEvery: q.config.BeatTimeout / 3,
	}
	c.Operation.Name, c.Operation.Kind = wire.DecodeID(aws.ToString(out.ActivityType.Name)), lambdabiz.KindTask
	var e wire.Task
	if wire.Open(aws.ToString(out.Input), &e) != nil {
		c.Operation.ID, c.Operation.Attempts = wire.DecodeID(aws.ToString(out.ActivityId)), 1
		c.Operation.Input = lambdabiz.Payload(aws.ToString(out.Input))
		return c, nil //nolint:nilerr // somebody else's activity is taken as it is
	}
	c.ID, c.RunID, c.Key, c.Timeout, c.Heartbeat = e.ID, e.RunID, e.Key, e.Timeout, e.Heartbeat
	c.Operation = lambdabiz.Operation{
		ID: e.Operation, Kind: e.Kind, Name: e.Name, Attempts: e.Attempt, Input: lambdabiz.Payload(e.Input),
		Details: lambdabiz.Payload(e.Details), Status: lambdabiz.StatusStarted,
	}
	return c, nil
}

// beat tells SWF that the attempt goes on. The details of the last call stay for the next attempt.
func (q *activities) beat(ctx context.Context, t *lambdabiz.TaskClaim, details lambdabiz.Payload) error {
	h, ok := t.Handle.(*taskHandle)
	if !ok {
		return lambdabiz.ErrFenced
	}
	in := &swf.RecordActivityTaskHeartbeatInput{TaskToken: &h.token}
	if details != nil {
		text, err := wire.Marshal(&wire.Outcome{Version: wire.Version, Status: lambdabiz.StatusStarted, Result: wire.Payload(details)})
		if err != nil {
			return err
		}
		if wire.Units(text) > 2048 { // RecordActivityTaskHeartbeatInput.details is at most 2,048 characters
			return fmt.Errorf("heartbeat details: %w: %d characters with their envelope, the limit of Amazon SWF is 2048",
				lambdabiz.ErrTooLarge, wire.Units(text))
		}
		in.Details = &text
	}
	out, err := q.client.RecordActivityTaskHeartbeat(ctx, in)
	switch {
	case isUnknown(err):
		return lambdabiz.ErrFenced
	case err != nil:
		return fmt.Errorf("record heartbeat: %w", err)
	case out.CancelRequested:
		return lambdabiz.ErrCancelled
	}
	return nil
}

// end tells SWF what the attempt came to.
func (q *activities) end(ctx context.Context, t *lambdabiz.TaskClaim, o lambdabiz.TaskOutcome) error {
	h, ok := t.Handle.(*taskHandle)
	if !ok {
		return lambdabiz.ErrFenced
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return nil
	}
	err := q.endTask(ctx, h.token, &o)
	if errors.Is(err, lambdabiz.ErrTooLarge) { // as long at the next try: what is no text is longer in the history
		err = q.endTask(ctx, h.token, &lambdabiz.TaskOutcome{
			Status: lambdabiz.StatusFailed, Error: lambdabiz.FailureOf(err), Tried: lambdabiz.Tried{Final: true},
		})
	}
	switch {
	case isUnknown(err): // it is over, or an answer of ours came through whose own answer was lost
		return lambdabiz.ErrFenced
	case err == nil:
		h.ended = true
		return nil
	default:
		return fmt.Errorf("end activity: %w", err)
	}
}

func (q *activities) endTask(ctx context.Context, token string, o *lambdabiz.TaskOutcome) error {
	if o.Status == lambdabiz.StatusSucceeded {
		result := string(o.Result)
		if !json.Valid(o.Result) || !wire.IsPlain(o.Result) {
			text, err := wire.Fit("result", &wire.Outcome{Version: wire.Version, Status: o.Status, Result: wire.Payload(o.Result)})
			if err != nil {
				return err
			}
			result = text
		}
		_, err := q.client.RespondActivityTaskCompleted(ctx, &swf.RespondActivityTaskCompletedInput{TaskToken: &token, Result: &result})
		return err //nolint:wrapcheck // the caller branches on it
	}
	text, err := wire.Fit("error", &wire.Outcome{
		Version: wire.Version, Status: o.Status, Error: wire.Shrink(o.Error, wire.MaxPayload), Final: o.Tried.Final,
		RetryAfter: o.Tried.RetryAfter, NotBegun: o.Tried.NotBegun,
	})
	if err != nil {
		return err
	}
	if o.Status == lambdabiz.StatusCancelled {
		_, err := q.client.RespondActivityTaskCanceled(ctx, &swf.RespondActivityTaskCanceledInput{TaskToken: &token, Details: &text})
		return err //nolint:wrapcheck // the caller branches on it
	}
	reason := o.Status.String()
	if o.Error != nil {
		reason = wire.Cut(o.Error.Message, wire.MaxReason-3)
	}
	_, err = q.client.RespondActivityTaskFailed(ctx, &swf.RespondActivityTaskFailedInput{
		TaskToken: &token, Reason: &reason, Details: &text,
	})
	return err //nolint:wrapcheck // the caller branches on it
}

// giveUp gives up attempts that nobody took: they have not begun, and do not count.
func (q *activities) giveUp(ctx context.Context, claims []*lambdabiz.TaskClaim) {
	for _, t := range claims {
		err := q.end(ctx, t, lambdabiz.TaskOutcome{
			Status: lambdabiz.StatusFailed, Tried: lambdabiz.Tried{NotBegun: true},
			Error: &lambdabiz.Failure{Message: "the worker stopped before it began"},
		})
		if err != nil && !errors.Is(err, lambdabiz.ErrFenced) {
			q.log.Warn("an attempt was not given back, it comes again after its time-out",
				"orchestration", t.ID, "operation", t.Operation.ID, "error", err)
		}
	}
}
