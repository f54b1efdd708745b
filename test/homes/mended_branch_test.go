package homes_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// An event that a branch took was given back when the orchestration's function returned in the same commit, although the
// branch had ended and its value was in the result.
func TestEventThatAnEndedBranchTookIsNotGivenBackAtTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Answer", func(o lambdabiz.Context, _ int) (int, error) {
			outer := lambdabiz.Go(o, "outer", func(o lambdabiz.Context) (int, error) {
				inner := lambdabiz.Go(o, "inner", func(o lambdabiz.Context) (int, error) {
					return lambdabiz.WaitForEvent[int](o, "add")
				})
				return inner.Wait(o)
			})
			return outer.Wait(o)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "a", 0)
		if err := e.RaiseEvent(b.ctx, "a", "add", 7); err != nil {
			t.Fatal(err)
		}
		if got := result(b, run); got != 7 {
			t.Errorf("the result is %d", got)
		}
		s := b.state(e, "a")
		if o := operation(t, s, "outer/inner/add"); o.Status != lambdabiz.StatusSucceeded || string(o.Result) != "7" {
			t.Errorf("the wait is %v with %s", o.Status, o.Result)
		}
		if len(s.Events) != 0 {
			t.Errorf("the event is left: %+v", s.Events)
		}
	})
}

// The same before a next run: it took the event again.
func TestEventThatAnEndedBranchTookIsNotTakenAgainByTheNextRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Sum", func(o lambdabiz.Context, sum int) (int, error) {
			add := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.WaitForEvent[int](o, "add")
			})
			n, err := add.Wait(o)
			if err != nil || n == 0 || sum > 1000 { // it would go on for ever
				return sum, err
			}
			return 0, lambdabiz.ContinueAsNew(o, sum+n)
		})
		e, _ := b.worker(d)
		run := start(b, e, d, "s", 0)
		for _, n := range []int{1, 10, 100, 0} {
			if err := e.RaiseEvent(b.ctx, "s", "add", n); err != nil {
				t.Fatal(err)
			}
		}
		if got := result(b, run); got != 111 {
			t.Errorf("the sum is %d, want 111", got)
		}
	})
}

// A branch whose value the code has must not lose a race afterwards: a resumed run would get ErrCancelled where
// the first pass got the value.
func TestABranchThatWasWaitedForCannotRace(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("ReadThenRace", func(o lambdabiz.Context, _ int) (string, error) {
			a := lambdabiz.Go(o, "a", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.WaitForEvent[string](o, "A")
			})
			c := lambdabiz.Go(o, "c", func(o lambdabiz.Context) (string, error) {
				return "c", lambdabiz.Sleep(o, "hour", time.Hour)
			})
			value, err := a.Wait(o)
			if err != nil {
				return "", err
			}
			_, err = lambdabiz.Race(o, "late", c, a)
			return fmt.Sprintf("%s, then %v", value, err), nil
		})
		e, _ := b.worker(d)
		start(b, e, d, "r", 0)
		raise(b, e, "r", "A", "yes")
		want := `yes, then orchestration r, operation "late": branch "a" was waited for before the race`
		if got := result(b, lambdabiz.Get(e, d, "r")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
