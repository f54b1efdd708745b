package swf

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// launcher begins executions.
type launcher struct {
	*service
	config   *Config
	registry *registry
	runs     *directory
}

// startList is the task list of a new run: one of its own if it is driven by hand.
func (t *launcher) startList(s *lambdabiz.RunStart) (string, error) {
	switch {
	case s.Queue != "":
		if err := wire.CheckQueue("queue", s.Queue); err != nil {
			return "", err
		}
		if s.Mode == lambdabiz.ModeHand && s.Queue == t.config.TaskList {
			return "", fmt.Errorf("%w: queue %q belongs to workers, a run driven by hand needs another one",
				lambdabiz.ErrInvalidPayload, s.Queue)
		}
		return wire.EncodeID(s.Queue), nil
	case s.Mode == lambdabiz.ModeHand:
		return wire.HandList(s.ID), nil
	default:
		return wire.EncodeID(t.config.TaskList), nil
	}
}

// startOpen begins a run unless one of the id is open.
func (t *launcher) startOpen(
	ctx context.Context, s *lambdabiz.RunStart, e *wire.Start, list string,
) (lambdabiz.StartVerdict, error) {
	home, err := t.startExecution(ctx, s.ID, s.Name, e, list)
	if _, running := errors.AsType[*types.WorkflowExecutionAlreadyStartedFault](err); !running {
		if err != nil {
			return lambdabiz.StartVerdict{}, err
		}
		return t.created(s, e, home), nil
	}
	x, err := t.runs.findOpenSoon(ctx, s.ID)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound): // it is open, or was, and no more is known
		x = execution{info: lambdabiz.RunInfo{ID: s.ID, Name: s.Name, Status: lambdabiz.StatusStarted}}
	case err != nil:
		return lambdabiz.StartVerdict{}, err
	default:
		t.runs.know(x)
	}
	v := lambdabiz.StartVerdict{Info: x.info, Run: lambdabiz.RunRef{ID: s.ID, RunID: x.info.RunID}}
	if x.info.RunID == s.RunID {
		return v, nil
	}
	if s.Policy == lambdabiz.RejectOpen || s.Policy == lambdabiz.RejectExisting || x.info.Name != s.Name {
		return v, lambdabiz.ErrExists
	}
	return v, nil
}

func (t *launcher) created(s *lambdabiz.RunStart, e *wire.Start, home string) lambdabiz.StartVerdict {
	info := lambdabiz.RunInfo{
		ID: s.ID, Name: s.Name, RunID: s.RunID, Mode: s.Mode, Status: lambdabiz.StatusScheduled, ScheduledAt: e.At,
	}
	if home != "" {
		t.runs.know(execution{home: home, info: info})
	}
	return lambdabiz.StartVerdict{Created: true, Run: lambdabiz.RunRef{ID: s.ID, RunID: s.RunID}, Info: info}
}

func (t *launcher) startExecution(ctx context.Context, id, name string, e *wire.Start, list string) (string, error) {
	if err := wire.CheckLength("orchestration name", name); err != nil {
		return "", err
	}
	typeName, tags := wire.TypeOf(id, name, e)
	if err := t.registry.register(ctx, plan.Type{Name: typeName}); err != nil {
		return "", err
	}
	input, err := wire.Fit("input", e)
	if err != nil {
		return "", err
	}
	in := &swf.StartWorkflowExecutionInput{
		Domain: &t.domain, WorkflowId: aws.String(wire.EncodeID(id)), Input: &input,
		WorkflowType: &types.WorkflowType{Name: aws.String(wire.EncodeID(typeName)), Version: aws.String(wire.TypeVersion)},
		TaskList:     &types.TaskList{Name: &list}, TagList: tags, ChildPolicy: types.ChildPolicyAbandon,
		ExecutionStartToCloseTimeout: wire.Seconds(wire.MaxRun), TaskStartToCloseTimeout: wire.Seconds(t.config.DecisionTimeout),
	}
	if t.config.LambdaRole != "" {
		in.LambdaRole = &t.config.LambdaRole
	}
	ctx, sent := awscall.Watch(ctx)
	out, err := t.client.StartWorkflowExecution(ctx, in)
	if err != nil {
		if sent.Open() {
			err = errors.Join(lambdabiz.ErrOutcomeUnknown, err)
		}
		return "", fmt.Errorf("start workflow execution: %w", err)
	}
	return aws.ToString(out.RunId), nil
}
