package swf

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// controls does what persons ask of runs.
type controls struct {
	*service
	store     lambdabiz.Store // nil for none
	runs      *directory
	histories *histories
	mirror    *mirror
}

// control does what a person asks of a run.
func (k *controls) control(ctx context.Context, c *lambdabiz.Control) error {
	if err := wire.CheckLength("orchestration id", c.ID); err != nil {
		return err
	}
	home, err := k.controlled(ctx, c)
	if err != nil {
		return err
	}
	err = k.controlOnce(ctx, c, home)
	if !isUnknown(err) {
		return err
	}
	x, missing := k.runs.find(ctx, c.ID, c.RunID)
	if missing != nil {
		return missing
	}
	if open, err := k.runs.isOpen(ctx, x); err != nil {
		return err
	} else if open { // it has begun meanwhile
		if err := k.controlOnce(ctx, c, home); !isUnknown(err) {
			return err
		}
	}
	return lambdabiz.ErrClosed
}

// controlled is SWF's run id of the run that a control names; "" for the latest one, whichever that is.
func (k *controls) controlled(ctx context.Context, c *lambdabiz.Control) (string, error) {
	if c.RunID == "" && c.Parent == nil {
		return "", nil
	}
	x, err := k.runs.find(ctx, c.ID, c.RunID)
	if err != nil || c.Parent == nil {
		return x.home, err
	}
	f, err := k.histories.readAll(ctx, c.ID, x.home)
	if err != nil {
		return "", err
	}
	if p := f.Info.Parent; p == nil || *p != *c.Parent {
		return "", lambdabiz.ErrNotFound // the id is somebody else's
	}
	return x.home, nil
}

func (k *controls) controlOnce(ctx context.Context, c *lambdabiz.Control, home string) error {
	switch c.Kind {
	case lambdabiz.ControlTerminate:
		return k.terminate(ctx, c, home)
	case lambdabiz.ControlPause:
		return k.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalPause, Reason: c.Reason})
	case lambdabiz.ControlResume:
		return k.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalResume})
	case lambdabiz.ControlDrop:
		return k.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalDrop, Drop: c.Number})
	case lambdabiz.ControlCancel:
		return k.cancel(ctx, c, home)
	default:
		return fmt.Errorf("control %d is none", c.Kind)
	}
}

// cancel uses SWF's own request; one with a reason is a signal, for the request cannot carry it.
func (k *controls) cancel(ctx context.Context, c *lambdabiz.Control, home string) error {
	if c.Reason != "" {
		return k.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalCancel, Reason: c.Reason})
	}
	in := &swf.RequestCancelWorkflowExecutionInput{Domain: &k.domain, WorkflowId: aws.String(wire.EncodeID(c.ID))}
	if home != "" {
		in.RunId = &home
	}
	_, err := k.client.RequestCancelWorkflowExecution(ctx, in)
	return err //nolint:wrapcheck // the caller branches on it
}

// terminate ends the run, and its copy in the store. Its children go on.
func (k *controls) terminate(ctx context.Context, c *lambdabiz.Control, home string) error {
	in := &swf.TerminateWorkflowExecutionInput{
		Domain: &k.domain, WorkflowId: aws.String(wire.EncodeID(c.ID)), ChildPolicy: types.ChildPolicyAbandon,
	}
	if home != "" {
		in.RunId = &home
	}
	if c.Reason != "" {
		in.Details = aws.String(c.Reason)
	}
	if _, err := k.client.TerminateWorkflowExecution(ctx, in); err != nil {
		return err //nolint:wrapcheck // the caller branches on it
	}
	if k.store != nil {
		if _, err := k.mirror.refreshed(ctx, c.ID, 0); err != nil {
			k.log.Warn("the store does not know yet that a run was terminated", "orchestration", c.ID, "error", err)
		}
	}
	return nil
}
