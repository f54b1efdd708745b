package homes_test

import (
	"errors"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

var approveEvent = lambdabiz.NewEvent[bool]("Approve")

// Row 83 of docs/proof/bugs.md.
func TestATypedEventIsTheEventOfItsName(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		asks := lambdabiz.Define("Asks", func(o lambdabiz.Context, _ int) ([]bool, error) {
			first, err := approveEvent.Wait(o, "first")
			if err != nil {
				return nil, err
			}
			second, err := lambdabiz.WaitForEvent[bool](o, "Approve")
			return []bool{first, second}, err
		})
		answers := lambdabiz.Define("Answers", func(o lambdabiz.Context, id string) (int, error) {
			return 0, approveEvent.RaiseFrom(o, "answer", id, true)
		})
		e, _ := b.worker(asks, answers)
		run := start(b, e, asks, "asks", 0)
		result(b, start(b, e, answers, "answers", "asks"))
		if err := approveEvent.Raise(b.ctx, e, "asks", false); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); len(got) != 2 || !got[0] || got[1] {
			t.Errorf("got %v", got)
		}
		if err := lambdabiz.NewEvent[int]("").Raise(b.ctx, e, "asks", 1); !errors.Is(err, lambdabiz.ErrInvalidID) {
			t.Errorf("got %v", err)
		}
	})
}

// Row 84 of docs/proof/bugs.md.
func TestAStartThatNoWorkerServesIsLogged(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.well() // which workers there are is looked up once, and if that fails nothing is said
		defer b.ill()
		e, _ := b.worker(collect)
		start(b, e, collect, "known", 0)
		if b.logged("no worker that runs knows") {
			t.Error("it warns of a definition that is registered")
		}
		if _, err := e.StartByName(b.ctx, "Colect", "unknown", 0); err != nil {
			t.Fatal(err)
		}
		if !b.logged("no worker that runs knows") || !b.logged("Colect") {
			t.Error("it does not warn")
		}
		if err := e.Cancel(b.ctx, "unknown", ""); err != nil {
			t.Error(err)
		}
	}, notOnSWF("it does not know which definitions workers have"))
}
