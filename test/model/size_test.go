package model_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// What the bodies of many branches come to at the same time is written in commits that the home takes.
func TestACommitIsNoLargerThanTheHomeTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := memory.NewWith(memory.Config{MaxCommitItems: 16})
		if err != nil {
			t.Fatal(err)
		}
		e, err := lambdabiz.New(b, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		wide := lambdabiz.Define("Wide", func(o lambdabiz.Context, n int) (int, error) {
			items := make([]int, n)
			for i := range items {
				items[i] = i
			}
			done, err := lambdabiz.Map(o, "all", items, strconv.Itoa, func(o lambdabiz.Context, i int) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return i, nil })
			})
			return len(done), err
		})
		if err := e.Register(wide); err != nil {
			t.Fatal(err)
		}
		err = e.RunWhile(t.Context(), func(ctx context.Context) error {
			run, err := lambdabiz.Start(ctx, e, wide, "w", 100)
			if err != nil {
				return err
			}
			synctest.Wait()
			s, err := run.State(ctx)
			if err == nil && !s.Status.Ended() {
				t.Errorf("%sit is %s, %+v", brokenWord, s.Status, s.Blocked)
				return nil
			}
			if got, err := run.Result(ctx); got != 100 || err != nil {
				t.Errorf("%sit ended with %d, %v", brokenWord, got, err)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
