package rules

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Route says where an event goes.
type Route uint8

// The routes of an event.
const (
	Nowhere Route = iota // it is known, or refused: the verdict says which
	ToInbox              // to the run, with its key: [Event], [Deliver]
	ToKept               // to those that are kept for a start of the id, unless its key is kept: [Lasts]
)

// Raise says what becomes of an event. The run is the one that the raise names, else the latest one of the id, nil for none;
// known says whether the key was seen in it, or in those that it continues.
func Raise(h *Head, known bool, r *lambdabiz.Raise, at time.Time) (Route, lambdabiz.RaiseVerdict) {
	switch {
	case h != nil && known && r.Key != "":
		return Nowhere, lambdabiz.RaiseVerdict{Receipt: lambdabiz.ReceiptRepeated}
	case h != nil && h.Open():
		return ToInbox, lambdabiz.RaiseVerdict{Receipt: lambdabiz.ReceiptAdded}
	case r.RunID == "" && (h == nil || r.AfterEnd) && Lasts(r.Until, at):
		return ToKept, lambdabiz.RaiseVerdict{Receipt: lambdabiz.ReceiptAdded}
	case h == nil:
		return Nowhere, lambdabiz.RaiseVerdict{Err: lambdabiz.ErrNotFound}
	default:
		return Nowhere, lambdabiz.RaiseVerdict{Err: lambdabiz.ErrClosed}
	}
}

// Lasts reports whether an event that is kept until a time is still kept at another: then a start gets it, and a second one
// with its key is acknowledged and not kept again.
func Lasts(until, at time.Time) bool { return until.After(at) }

// Event is the message of an event, kept or not.
func Event(r *lambdabiz.Raise, at time.Time) lambdabiz.Message {
	return lambdabiz.Message{
		Kind: lambdabiz.MessageEvent, Name: r.Name, Key: r.Key, Payload: r.Payload, ArrivedAt: at,
	}
}
