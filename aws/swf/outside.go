package swf

import (
	"context"
	"errors"

	"github.com/lambdabiz/lambdabiz"
)

// outside makes the changes that clients ask for.
type outside struct {
	starts   *starter
	events   *events
	controls *controls
}

// commit makes the changes that clients ask for, one after the other: SWF has no transactions.
func (o *outside) commit(ctx context.Context, c *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	var v lambdabiz.Verdict
	for i := range c.Starts {
		s, err := o.starts.start(ctx, &c.Starts[i], c.At)
		if err != nil && !isVerdict(err) {
			return v, err
		}
		s.Err = err
		v.Starts = append(v.Starts, s)
	}
	for i := range c.Raises {
		err := o.events.raise(ctx, &c.Raises[i], c.At)
		if err != nil && !isVerdict(err) {
			return v, err
		}
		v.Raises = append(v.Raises, lambdabiz.RaiseVerdict{Err: err, Receipt: receiptOf(&c.Raises[i], err)})
	}
	for i := range c.Controls {
		err := o.controls.control(ctx, &c.Controls[i])
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
