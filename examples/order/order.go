package main

import (
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Order is what the orchestration starts with, Receipt its result. Both are recorded as JSON.
type Order struct {
	Item  string
	Cents int
}

// Receipt says what became of an order that succeeded.
type Receipt struct{ Payment, Parcel string }

// errRefused is an outcome that the caller can recognise with errors.Is, after a restart too: main registers it.
var errRefused = errors.New("the boss has refused")

// outside is what an order needs from the outside world. The tasks are handed in, so that a test can hand in others.
type outside struct {
	reserve, release *lambdabiz.Task[string, string]
	charge, refund   *lambdabiz.Task[Payment, string]
	askBoss          *lambdabiz.Task[Order, string]
	ship             *lambdabiz.Task[string, string]
}

// patiently is for effects that may fail for a while, stubbornly for those that must not fail: money that is owed.
var (
	patiently  = lambdabiz.Retry(lambdabiz.Backoff{Attempts: 5, Initial: 200 * time.Millisecond})
	stubbornly = lambdabiz.Retry(lambdabiz.Backoff{Attempts: -1, Initial: 200 * time.Millisecond, Max: time.Hour})
)

// define makes the orchestration: everything goes forward, or what was done is taken back, the latest first, also if the
// order was cancelled meanwhile.
func define(w outside) *lambdabiz.Definition[Order, Receipt] {
	return lambdabiz.Define("Order", func(o lambdabiz.Context, in Order) (Receipt, error) {
		return lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) (Receipt, error) { return w.fulfil(o, in, undo) })
	})
}

// fulfil is the way forward. Each part is followed by how to take it back.
func (w outside) fulfil(o lambdabiz.Context, in Order, undo *lambdabiz.Compensations) (Receipt, error) {
	if _, err := lambdabiz.Call(o, "reserve", w.reserve, in.Item, patiently); err != nil {
		return Receipt{}, err
	}
	undo.Add("put-back", func(o lambdabiz.Context) error {
		_, err := lambdabiz.Call(o, "release", w.release, in.Item, stubbornly)
		return err
	})

	payment, err := lambdabiz.Call(o, "charge", w.charge, Payment{Cents: in.Cents}, patiently)
	if err != nil {
		return Receipt{}, err
	}
	undo.Add("pay-back", func(o lambdabiz.Context) error {
		_, err := lambdabiz.Call(o, "refund", w.refund, Payment{ID: payment, Cents: in.Cents}, stubbornly)
		return err
	})

	if _, err := lambdabiz.Call(o, "ask-boss", w.askBoss, in, patiently); err != nil {
		return Receipt{}, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Timeout(72*time.Hour))
	if err != nil {
		return Receipt{}, err // *lambdabiz.EventTimeoutError: nobody answered for three days
	}
	if !approved {
		return Receipt{}, errRefused
	}

	parcel, err := lambdabiz.Call(o, "ship", w.ship, in.Item, patiently)
	return Receipt{payment, parcel}, err
}
