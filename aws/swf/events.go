package swf

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// events sends events to runs.
type events struct {
	*service
	store     lambdabiz.Store // nil for none
	runs      *directory
	histories *histories
}

// raise sends an event. SWF does not tell an unknown id from a run that has ended: that is looked up.
func (o *events) raise(ctx context.Context, r *lambdabiz.Raise, at time.Time) error {
	if err := wire.CheckLength("orchestration id", r.ID); err != nil {
		return err
	}
	err := o.sendEvent(ctx, r, at)
	if !isUnknown(err) {
		return err
	}
	x, found := o.runs.find(ctx, r.ID, r.RunID)
	if found == nil {
		open, err := o.runs.isOpen(ctx, x)
		if open && err == nil { // it has begun meanwhile
			err = o.sendEvent(ctx, r, at)
			open = !isUnknown(err)
		}
		if open || err != nil && !isUnknown(err) {
			return err
		}
		if r.Key != "" {
			if known, err := o.knowsKey(ctx, r.ID, x.home, r.Key); known || err != nil {
				return err
			}
		}
	}
	switch {
	case found != nil && !errors.Is(found, lambdabiz.ErrNotFound):
		return found // whether the run that has ended had seen the key is not known
	case !r.Until.IsZero() && r.RunID == "" && (found != nil || r.AfterEnd) && o.store != nil:
		return o.keepEvent(ctx, r, at)
	case found == nil:
		return lambdabiz.ErrClosed
	default:
		return found
	}
}

func (o *events) sendEvent(ctx context.Context, r *lambdabiz.Raise, at time.Time) error {
	e := wire.EventOf(r, at)
	if e.Key == "" { // SWF does not know a signal that it has seen, and the SDK repeats those whose answer was lost
		e.Key = history.OwnKey + newKey()[:16]
	}
	input, err := wire.Fit(fmt.Sprintf("payload of event %q", r.Name), e)
	if err != nil {
		return err
	}
	in := &swf.SignalWorkflowExecutionInput{
		Domain: &o.domain, WorkflowId: aws.String(wire.EncodeID(r.ID)), SignalName: aws.String(r.Name), Input: &input,
	}
	if r.RunID != "" {
		x, err := o.runs.find(ctx, r.ID, r.RunID)
		if err != nil {
			return err
		}
		in.RunId = &x.home
	}
	_, err = o.client.SignalWorkflowExecution(ctx, in)
	return err //nolint:wrapcheck // the caller branches on it
}

// KnowsKey reports whether a run that has ended had seen the key of an event.
func (o *events) knowsKey(ctx context.Context, id, home, key string) (bool, error) {
	f, err := o.histories.readLatest(ctx, id, home)
	if isUnknown(err) {
		return false, nil // its history is gone
	}
	return err == nil && f.KnowsKey(key), err
}

// keepEvent keeps an event for a start to come. The start may come meanwhile: then the event is sent to it.
func (o *events) keepEvent(ctx context.Context, r *lambdabiz.Raise, at time.Time) error {
	kept := *r
	if kept.Key == "" {
		kept.Key = newKey()
	}
	err := o.store.Keep(ctx, r.ID, lambdabiz.KeptEvent{
		Name: r.Name, Key: kept.Key, Payload: r.Payload, ArrivedAt: at, Until: r.Until,
	})
	if err != nil {
		return fmt.Errorf("keep event: %w", err)
	}
	switch err := o.sendEvent(ctx, &kept, at); {
	case err == nil:
		if err := o.store.Drop(ctx, r.ID, []string{kept.Key}); err != nil {
			o.log.Warn("a kept event was not dropped; its key makes it harmless", "orchestration", r.ID, "error", err)
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
func (o *events) deliverKept(ctx context.Context, f *history.Fold) error {
	kept, err := o.store.Kept(ctx, f.Info.ID, now())
	if err != nil {
		return fmt.Errorf("read kept events: %w", err)
	}
	o.runs.remember(f) // lists lag behind
	keys := make([]string, 0, len(kept))
	for _, k := range kept {
		err := o.sendEvent(ctx, &lambdabiz.Raise{
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
	if err := o.store.Drop(ctx, f.Info.ID, keys); err != nil {
		return fmt.Errorf("drop kept events: %w", err)
	}
	return nil
}

func newKey() string { return rand.Text() }
