package swf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// outside makes the changes that clients ask for, one after the other: SWF has no transactions.
func (b *Backend) outside(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	var v lambdabiz.Verdict
	for i := range c.Starts {
		s, err := b.start(ctx, &c.Starts[i], c.At)
		if err != nil && !isVerdict(err) {
			return v, err
		}
		s.Err = err
		v.Starts = append(v.Starts, s)
	}
	for i := range c.Raises {
		err := b.raise(ctx, &c.Raises[i], c.At)
		if err != nil && !isVerdict(err) {
			return v, err
		}
		v.Raises = append(v.Raises, lambdabiz.RaiseVerdict{Err: err, Receipt: receiptOf(&c.Raises[i], err)})
	}
	for i := range c.Controls {
		err := b.control(ctx, &c.Controls[i])
		if err != nil && !isVerdict(err) {
			return v, err
		}
		v.Controls = append(v.Controls, err)
	}
	return v, nil
}

// isVerdict tells what a caller is told from what the service could not do.
func isVerdict(err error) bool {
	for _, known := range []error{
		lambdabiz.ErrExists, lambdabiz.ErrNotFound, lambdabiz.ErrClosed, lambdabiz.ErrTooLarge, lambdabiz.ErrInvalidPayload,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return isAnswered(err)
}

// receiptOf says what an acknowledged raise has done. SWF takes every signal, and only the run that reads it knows
// its key. A run that has ended and knows the key may know it by this very signal, which the SDK repeats when its answer
// was lost.
func receiptOf(r *lambdabiz.Raise, err error) lambdabiz.Receipt {
	if err != nil || r.Key != "" {
		return lambdabiz.ReceiptUnknown
	}
	return lambdabiz.ReceiptAdded
}

// raise sends an event. SWF does not tell an unknown id from a run that has ended: that is looked up.
func (b *Backend) raise(ctx context.Context, r *lambdabiz.Raise, at time.Time) error {
	if err := wire.CheckLength("orchestration id", r.ID); err != nil {
		return err
	}
	err := b.sendEvent(ctx, r, at)
	if !isUnknown(err) {
		return err
	}
	x, found := b.find(ctx, r.ID, r.RunID)
	if found == nil {
		open, err := b.isOpen(ctx, x)
		if open && err == nil { // it has begun meanwhile
			err = b.sendEvent(ctx, r, at)
			open = !isUnknown(err)
		}
		if open || err != nil && !isUnknown(err) {
			return err
		}
		if r.Key != "" {
			if known, err := b.knowsKey(ctx, r.ID, x.home, r.Key); known || err != nil {
				return err
			}
		}
	}
	switch {
	case found != nil && !errors.Is(found, lambdabiz.ErrNotFound):
		return found // whether the run that has ended had seen the key is not known
	case !r.Until.IsZero() && r.RunID == "" && (found != nil || r.AfterEnd) && b.config.Store != nil:
		return b.keepEvent(ctx, r, at)
	case found == nil:
		return lambdabiz.ErrClosed
	default:
		return found
	}
}

// isOpen asks SWF whether a run is open: lists and the store may be behind.
func (b *Backend) isOpen(ctx context.Context, x execution) (bool, error) {
	if x.info.Status.Ended() {
		return false, nil
	}
	out, err := b.client.DescribeWorkflowExecution(ctx, &swf.DescribeWorkflowExecutionInput{
		Domain: &b.config.Domain, Execution: &types.WorkflowExecution{WorkflowId: aws.String(wire.EncodeID(x.info.ID)), RunId: &x.home},
	})
	switch {
	case isUnknown(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("check orchestration %s: %w", x.info.ID, err)
	}
	return out.ExecutionInfo.ExecutionStatus == types.ExecutionStatusOpen, nil
}

func (b *Backend) sendEvent(ctx context.Context, r *lambdabiz.Raise, at time.Time) error {
	e := wire.EventOf(r, at)
	if e.Key == "" { // SWF does not know a signal that it has seen, and the SDK repeats those whose answer was lost
		e.Key = history.OwnKey + newKey()[:16]
	}
	input, err := wire.Fit(fmt.Sprintf("payload of event %q", r.Name), e)
	if err != nil {
		return err
	}
	in := &swf.SignalWorkflowExecutionInput{
		Domain: &b.config.Domain, WorkflowId: aws.String(wire.EncodeID(r.ID)), SignalName: aws.String(r.Name), Input: &input,
	}
	if r.RunID != "" {
		x, err := b.find(ctx, r.ID, r.RunID)
		if err != nil {
			return err
		}
		in.RunId = &x.home
	}
	_, err = b.client.SignalWorkflowExecution(ctx, in)
	return err //nolint:wrapcheck // the caller branches on it
}

// KnowsKey reports whether a run that has ended had seen the key of an event.
func (b *Backend) knowsKey(ctx context.Context, id, home, key string) (bool, error) {
	f, err := b.readLatest(ctx, id, home)
	if isUnknown(err) {
		return false, nil // its history is gone
	}
	return err == nil && f.KnowsKey(key), err
}

// keepEvent keeps an event for a start to come. The start may come meanwhile: then the event is sent to it.
func (b *Backend) keepEvent(ctx context.Context, r *lambdabiz.Raise, at time.Time) error {
	kept := *r
	if kept.Key == "" {
		kept.Key = newKey()
	}
	err := b.config.Store.Keep(ctx, r.ID, lambdabiz.KeptEvent{
		Name: r.Name, Key: kept.Key, Payload: r.Payload, ArrivedAt: at, Until: r.Until,
	})
	if err != nil {
		return fmt.Errorf("keep event: %w", err)
	}
	switch err := b.sendEvent(ctx, &kept, at); {
	case err == nil:
		if err := b.config.Store.Drop(ctx, r.ID, []string{kept.Key}); err != nil {
			b.log.Warn("a kept event was not dropped; its key makes it harmless", "orchestration", r.ID, "error", err)
		}
		return nil
	case isUnknown(err):
		return nil
	default:
		return err
	}
}

// deliverKept sends a run what was kept for it and has not come with its start: the start had read what is kept
// before, or was a decision of its parent. The keys make what came with it harmless.
func (b *Backend) deliverKept(ctx context.Context, f *history.Fold) error {
	kept, err := b.config.Store.Kept(ctx, f.Info.ID, now())
	if err != nil {
		return fmt.Errorf("read kept events: %w", err)
	}
	b.remember(f) // lists lag behind
	keys := make([]string, 0, len(kept))
	for _, k := range kept {
		err := b.sendEvent(ctx, &lambdabiz.Raise{
			ID: f.Info.ID, RunID: f.Info.RunID, Name: k.Name, Key: k.Key, Payload: k.Payload,
		}, k.ArrivedAt)
		switch {
		case isUnknown(err), errors.Is(err, lambdabiz.ErrNotFound): // it has ended meanwhile: they are for the next one
			return nil
		case err != nil:
			return fmt.Errorf("deliver kept event %q: %w", k.Name, err)
		}
		keys = append(keys, k.Key)
	}
	if len(keys) == 0 {
		return nil
	}
	if err := b.config.Store.Drop(ctx, f.Info.ID, keys); err != nil {
		return fmt.Errorf("drop kept events: %w", err)
	}
	return nil
}

// control does what a person asks of a run.
func (b *Backend) control(ctx context.Context, c *lambdabiz.Control) error {
	if err := wire.CheckLength("orchestration id", c.ID); err != nil {
		return err
	}
	home, err := b.controlled(ctx, c)
	if err != nil {
		return err
	}
	err = b.controlOnce(ctx, c, home)
	if !isUnknown(err) {
		return err
	}
	x, missing := b.find(ctx, c.ID, c.RunID)
	if missing != nil {
		return missing
	}
	if open, err := b.isOpen(ctx, x); err != nil {
		return err
	} else if open { // it has begun meanwhile
		if err := b.controlOnce(ctx, c, home); !isUnknown(err) {
			return err
		}
	}
	return lambdabiz.ErrClosed
}

// controlled is SWF's run id of the run that a control names; "" for the latest one, whichever that is.
func (b *Backend) controlled(ctx context.Context, c *lambdabiz.Control) (string, error) {
	if c.RunID == "" && c.Parent == nil {
		return "", nil
	}
	x, err := b.find(ctx, c.ID, c.RunID)
	if err != nil || c.Parent == nil {
		return x.home, err
	}
	f, err := b.readAll(ctx, c.ID, x.home)
	if err != nil {
		return "", err
	}
	if p := f.Info.Parent; p == nil || *p != *c.Parent {
		return "", lambdabiz.ErrNotFound // the id is somebody else's
	}
	return x.home, nil
}

func (b *Backend) controlOnce(ctx context.Context, c *lambdabiz.Control, home string) error {
	switch c.Kind {
	case lambdabiz.ControlTerminate:
		return b.terminate(ctx, c, home)
	case lambdabiz.ControlPause:
		return b.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalPause, Reason: c.Reason})
	case lambdabiz.ControlResume:
		return b.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalResume})
	case lambdabiz.ControlDrop:
		return b.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalDrop, Drop: c.Number})
	case lambdabiz.ControlCancel:
		return b.cancel(ctx, c, home)
	default:
		return fmt.Errorf("control %d is none", c.Kind)
	}
}

// cancel uses SWF's own request; one with a reason is a signal, for the request cannot carry it.
func (b *Backend) cancel(ctx context.Context, c *lambdabiz.Control, home string) error {
	if c.Reason != "" {
		return b.signal(ctx, c.ID, home, &wire.Signal{Kind: wire.SignalCancel, Reason: c.Reason})
	}
	in := &swf.RequestCancelWorkflowExecutionInput{Domain: &b.config.Domain, WorkflowId: aws.String(wire.EncodeID(c.ID))}
	if home != "" {
		in.RunId = &home
	}
	_, err := b.client.RequestCancelWorkflowExecution(ctx, in)
	return err //nolint:wrapcheck // the caller branches on it
}

// terminate ends the run, and its copy in the store. Its children go on.
func (b *Backend) terminate(ctx context.Context, c *lambdabiz.Control, home string) error {
	in := &swf.TerminateWorkflowExecutionInput{
		Domain: &b.config.Domain, WorkflowId: aws.String(wire.EncodeID(c.ID)), ChildPolicy: types.ChildPolicyAbandon,
	}
	if home != "" {
		in.RunId = &home
	}
	if c.Reason != "" {
		in.Details = aws.String(c.Reason)
	}
	if _, err := b.client.TerminateWorkflowExecution(ctx, in); err != nil {
		return err //nolint:wrapcheck // the caller branches on it
	}
	if b.config.Store != nil {
		if _, err := b.refreshed(ctx, c.ID, 0); err != nil {
			b.log.Warn("the store does not know yet that a run was terminated", "orchestration", c.ID, "error", err)
		}
	}
	return nil
}
