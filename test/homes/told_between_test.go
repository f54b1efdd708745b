package homes_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Code that is told to stop while it computes, between two operations, and that is killed in its clean-up.
var toldBetween = map[string]func(k *booking, o lambdabiz.Context, computes func()) (int, error){
	// A saga takes back in branches: the first thing that the code does when it has looked is no operation. The function
	// was not told when it was resumed, and the orchestration had SUCCEEDED although all was taken back.
	"it looks, and begins a branch": func(k *booking, o lambdabiz.Context, computes func()) (int, error) {
		return lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) (int, error) {
			k.do(o, "book", 0)
			undo.Add("back", func(o lambdabiz.Context) error {
				if !k.do(o, "undo", 0) {
					return errors.New("it is not taken back")
				}
				return lambdabiz.Sleep(o, "between", 10*time.Second)
			})
			computes()
			if o.Err() == nil {
				return 7, nil
			}
			return 0, fmt.Errorf("%w: it has looked", lambdabiz.ErrCancelled)
		})
	},
	// It was told before the branch when it was resumed, and never came to what that had booked.
	"it begins a branch, and looks": func(k *booking, o lambdabiz.Context, computes func()) (int, error) {
		k.do(o, "book", 0)
		if o.Err() != nil {
			return 0, errors.New("it was told at once")
		}
		computes()
		booked := []int{0}
		if ok, _ := k.branch(lambdabiz.Detached(o), "b", 1, func(lambdabiz.Context) error { return nil }).Wait(o); ok {
			booked = append(booked, 1)
		}
		if o.Err() == nil {
			return 1, nil
		}
		return 0, k.takeBack(o, booked)
	},
	// Who asks for a value, as the handlers of logs do, has not looked whether the context has ended.
	"it asks for a value, and works on": func(k *booking, o lambdabiz.Context, computes func()) (int, error) {
		_ = o.Value("trace")
		var booked []int
		for i := 0; o.Err() == nil && i < 3; i++ {
			if i == 1 {
				computes()
			}
			if k.do(lambdabiz.Detached(o), "book", i) {
				booked = append(booked, i)
			}
		}
		return 0, k.takeBack(o, booked)
	},
	// A branch that had ended long before was told after all, at its last operation.
	"it has waited for a branch long before": func(k *booking, o lambdabiz.Context, computes func()) (int, error) {
		ok, err := lambdabiz.Go(o, "b", func(o lambdabiz.Context) (bool, error) {
			return k.do(o, "book", 0) && o.Err() == nil, nil
		}).Wait(o)
		if err != nil {
			return 0, err
		}
		computes()
		if o.Err() == nil {
			return 0, errors.New("it was not told")
		}
		if !ok {
			return 0, lambdabiz.ErrCancelled
		}
		return 0, k.takeBack(o, []int{0})
	},
}

// Row 188 of docs/proof/bugs.md.
func TestCodeThatWasToldBetweenTwoOperationsIsToldThereAgain(t *testing.T) {
	for name, code := range toldBetween {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				k, gate := &booking{j: &journal{}}, make(chan struct{})
				d := define(func(o lambdabiz.Context) (int, error) { return code(k, o, func() { <-gate }) })
				b.well() // what is to be recorded is, when it is killed
				e, kill := b.killable(d)
				start(b, e, d, "x", 0)
				time.Sleep(30 * time.Second)
				b.cancel("x")
				time.Sleep(2 * time.Second)
				close(gate)
				time.Sleep(1500 * time.Millisecond) // it cleans up
				kill()
				b.ill()
				b.resumed(d, "x")
				s := b.state(b.engine(lambdabiz.Config{}), "x")
				if s.Status != lambdabiz.StatusCancelled || len(s.Orphans) > 0 {
					t.Errorf("it is %v %v %s, without %v; done was %s", s.Status, s.Error, s.Result, s.Orphans, k.j)
				}
				for _, o := range s.Operations {
					if o.LastBeforeStop && o.AfterStop {
						t.Errorf("%s was begun before the stop and after it", o.ID)
					}
				}
			}, notOnSWF("its code may not wait outside of operations there"))
		})
	}
}
