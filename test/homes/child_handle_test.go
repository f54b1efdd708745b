package homes_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Row 120 of docs/proof/bugs.md.
func TestAChildThatIsBegunGetsEventsAndIsWaitedForLater(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, id string) ([]string, error) {
			var opts []lambdabiz.ChildOption
			if id != "" {
				opts = append(opts, lambdabiz.ChildID(id))
			}
			child := lambdabiz.GoChild(o, "listener", collect, 2, opts...)
			if err := lambdabiz.RaiseEvent(o, "first", child.ID(), "E", "one"); err != nil {
				return nil, err
			}
			if err := lambdabiz.Sleep(o, "nap", time.Hour); err != nil {
				return nil, err
			}
			if err := lambdabiz.RaiseEvent(o, "second", child.ID(), "E", "two"); err != nil {
				return nil, err
			}
			got, err := child.Wait(o)
			return append(got, child.ID()), err
		})
		e, stop := b.worker(parent, collect)
		made, given := start(b, e, parent, "made", ""), start(b, e, parent, "given", "ears")
		time.Sleep(30 * time.Minute)
		stop()
		e, _ = b.worker(parent, collect)
		for run, id := range map[*lambdabiz.Run[[]string]]string{made: "made~-listener/child", given: "ears"} {
			if got := result(b, lambdabiz.Get(e, parent, run.ID())); !slices.Equal(got, []string{"one", "two", id}) {
				t.Errorf("%s: got %v", run.ID(), got)
			}
			if s := b.state(e, id); s.Status != lambdabiz.StatusSucceeded {
				t.Errorf("%s is %s", id, s.Status)
			}
		}
	})
}

func TestAChildThatLosesARaceIsCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, _ int) (int, error) {
			child := lambdabiz.GoChild(o, "listener", collect, 1)
			patience := lambdabiz.Go(o, "patience", func(o lambdabiz.Context) (int, error) {
				return 0, lambdabiz.Sleep(o, "nap", time.Hour)
			})
			return lambdabiz.Race(o, "first", child, patience)
		})
		e, _ := b.worker(parent, collect)
		if got := result(b, start(b, e, parent, "p", 0)); got != 1 {
			t.Errorf("%d has won", got)
		}
		_, err := lambdabiz.Get(e, collect, "p~-listener/child").Result(b.ctx)
		if !errors.Is(err, lambdabiz.ErrCancelled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the child ended with %v", err)
		}
	})
}

// A child that was begun under another id than it is recorded under waited for the code that had begun it, and that
// for the child: nothing said that it would be started again.
// Row 160 of docs/proof/bugs.md.
func TestARenamedChildHandleIsBlockedAndDoesNotHang(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		child := lambdabiz.Define("Slow", func(o lambdabiz.Context, in int) (int, error) {
			return in, lambdabiz.Sleep(o, "s", time.Second)
		})
		code := func(id string, opts ...lambdabiz.ChildOption) *lambdabiz.Definition[int, string] {
			return changing(func(o lambdabiz.Context, in int) error {
				_, err := lambdabiz.GoChild(o, id, child, in, opts...).Wait(o)
				return err
			})
		}
		e, _ := changes(b, 1, code("first"), code("second"), child)
		s := b.state(e, "x0")
		if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, `FormerlyAt("first/child")`) {
			t.Errorf("it is not blocked, or not told how to go on: %+v", s.RunInfo)
		}
	})
}
