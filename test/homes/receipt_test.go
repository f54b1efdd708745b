package homes_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// Row 172 of docs/proof/bugs.md.
func TestAReceiptTellsAKnownKeyFromANewOne(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e, _ := b.worker(collect)
		event := lambdabiz.NewEvent[string]("E")
		told := func(receipt lambdabiz.Receipt, keyed bool) lambdabiz.Receipt {
			if keyed && b.backend.Describe().UntoldKeys {
				return lambdabiz.ReceiptUnknown
			}
			return receipt
		}
		run := start(b, e, collect, "c", 3)
		is := func(what string, err error, got, want lambdabiz.Receipt) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("%s: %v, error %v, want %v", what, got, err, want)
			}
		}
		var r lambdabiz.Receipt
		err := e.RaiseEvent(b.ctx, "c", "E", "1", lambdabiz.WithReceipt(&r))
		is("without a key", err, r, lambdabiz.ReceiptAdded)
		err = run.Raise(b.ctx, "E", "2", lambdabiz.Key("k"), lambdabiz.WithReceipt(&r))
		is("with a new key", err, r, told(lambdabiz.ReceiptAdded, true))
		err = event.Raise(b.ctx, e, "c", "again", lambdabiz.WithReceipt(&r), lambdabiz.Key("k"))
		is("with the key again", err, r, told(lambdabiz.ReceiptRepeated, true))
		err = e.RaiseEvent(b.ctx, "c", "E", "3", lambdabiz.Key("j"), lambdabiz.WithReceipt(&r))
		is("with another key", err, r, told(lambdabiz.ReceiptAdded, true))
		if got := fmt.Sprint(result(b, run)); got != "[1 2 3]" {
			t.Errorf("it got %s", got)
		}
		err = e.RaiseEvent(b.ctx, "c", "E", "late", lambdabiz.Key("k"), lambdabiz.WithReceipt(&r))
		is("after the end", err, r, told(lambdabiz.ReceiptRepeated, true))

		r = lambdabiz.ReceiptRepeated // of another raise
		err = e.RaiseEvent(b.ctx, "c", "E", "late", lambdabiz.Key("new"), lambdabiz.WithReceipt(&r))
		if !errors.Is(err, lambdabiz.ErrClosed) || r != lambdabiz.ReceiptUnknown {
			t.Errorf("a refused raise gave %v and %v", err, r)
		}
		r = lambdabiz.ReceiptAdded
		err = e.RaiseEvent(b.ctx, "", "E", "nowhere", lambdabiz.WithReceipt(&r))
		if !errors.Is(err, lambdabiz.ErrInvalidID) || r != lambdabiz.ReceiptUnknown {
			t.Errorf("a raise to no id gave %v and %v", err, r)
		}
		if err := e.RaiseEvent(b.ctx, "c", "E", "x", lambdabiz.Key("k"), lambdabiz.WithReceipt(nil)); err != nil {
			t.Errorf("a receipt that nobody wants: %v", err)
		}
	})
}

// losing is a home that has only one lane, and that loses answers after the write.
type losing struct {
	*memory.Backend
	before func(batch []*lambdabiz.Commit)
	after  func(batch []*lambdabiz.Commit) error
}

func (l *losing) Describe() lambdabiz.Description {
	d := l.Backend.Describe()
	d.Lanes, d.BatchSize = 1, 10
	return d
}

func (l *losing) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	l.before(batch)
	verdicts, err := l.Backend.Commit(ctx, batch)
	if err == nil {
		err = l.after(batch)
	}
	return verdicts, err
}

// The engine asks again for each member of a batch whose answer was lost in a panic. By then the keys are known, and by
// nobody else's raises.
func TestTheEnginesOwnRepetitionIsNotReportedAsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		struck := 0
		home := &losing{
			Backend: memory.New(),
			before: func(batch []*lambdabiz.Commit) {
				if len(batch[0].Raises) > 0 && batch[0].Raises[0].Key == "first" {
					<-first
				}
			},
			after: func(batch []*lambdabiz.Commit) error {
				if len(batch) > 1 {
					struck++
					panic("the answer is lost")
				}
				return nil
			},
		}
		e, err := lambdabiz.New(home, lambdabiz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if _, err := e.StartByName(ctx, "Nobody", "x", 1); err != nil {
			t.Fatal(err)
		}
		if err := e.RaiseEvent(ctx, "x", "E", 1, lambdabiz.Key("known")); err != nil {
			t.Fatal(err)
		}
		keys := []string{"first", "new", "known"}
		receipts := make([]lambdabiz.Receipt, len(keys))
		var all sync.WaitGroup
		for i, key := range keys {
			all.Go(func() {
				if err := e.RaiseEvent(ctx, "x", "E", 1, lambdabiz.Key(key), lambdabiz.WithReceipt(&receipts[i])); err != nil {
					t.Errorf("key %s: %v", key, err)
				}
			})
			synctest.Wait()
		}
		close(first)
		all.Wait()
		if struck != 1 {
			t.Fatalf("%d batches lost their answers", struck)
		}
		if got := fmt.Sprintf("%v", receipts); got != "[added unknown unknown]" {
			t.Errorf("the receipts are %s", got)
		}
	})
}

// A caller who raises again after an unknown outcome is told of what is there, and that is all that can be known.
func TestARaiseAfterAnUnknownOutcomeMeetsItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("the answer is lost")
		home := &losing{Backend: memory.New(), before: func([]*lambdabiz.Commit) {}, after: func(batch []*lambdabiz.Commit) error {
			if len(batch[0].Raises) > 0 && lost != nil {
				defer func() { lost = nil }()
				return fmt.Errorf("%w: %w", lambdabiz.ErrOutcomeUnknown, lost)
			}
			return nil
		}}
		e, err := lambdabiz.New(home, lambdabiz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := e.StartByName(ctx, "Nobody", "x", 1); err != nil {
			t.Fatal(err)
		}
		r := lambdabiz.ReceiptAdded
		raise := func() error {
			return e.RaiseEvent(ctx, "x", "E", 1, lambdabiz.Key("k"), lambdabiz.WithReceipt(&r))
		}
		if err := raise(); !errors.Is(err, lambdabiz.ErrOutcomeUnknown) || r != lambdabiz.ReceiptUnknown {
			t.Errorf("the first raise gave %v and %v", err, r)
		}
		if err := raise(); err != nil || r != lambdabiz.ReceiptRepeated {
			t.Errorf("the second raise gave %v and %v", err, r)
		}
	})
}
