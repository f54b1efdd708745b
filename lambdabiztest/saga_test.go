package lambdabiztest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// buy books three parts, of which the last one is not to be had, and takes the others back.
var buy = lambdabiz.Define("Buy", func(o lambdabiz.Context, parts []string) (string, error) {
	return lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) (string, error) {
		for _, part := range parts {
			undo.Add("undo-"+part, func(o lambdabiz.Context) error {
				_, err := lambdabiz.CallTask[string](o, "give-back", "GiveBack", part, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 5}))
				return err
			})
			if _, err := lambdabiz.CallTask[string](o, "book-"+part, "Book", part); err != nil {
				return "", err
			}
		}
		return "bought", nil
	})
})

// Whatever the moment in which its process dies, a saga books what it did book once, and takes all of it back once, the
// latest first.
func TestASagaSurvivesACrashAtEveryCommit(t *testing.T) {
	done := lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(buy)
		for _, part := range []string{"flight", "hotel", "car"} {
			lambdabiztest.Stub(env, "book-"+part, func(ctx context.Context, s string) (string, error) {
				env.Effect(ctx, "book "+s)
				if s == "car" {
					return "", errors.New("no cars left")
				}
				return s, nil
			})
			tries := 0
			lambdabiztest.Stub(env, "undo-"+part+"/give-back", func(ctx context.Context, s string) (string, error) {
				env.Effect(ctx, "give back "+s)
				if tries++; tries == 1 && s == "hotel" {
					return "", errors.New("busy")
				}
				return s, nil
			})
		}
		_, err := lambdabiztest.Start(env, buy, "trip", []string{"flight", "hotel", "car"}).Result()
		if err == nil {
			t.Error("it has succeeded")
		}
		last := map[string]lambdabiz.Operation{}
		for _, o := range env.State("trip").Operations {
			last[o.ID] = o
		}
		order := []string{"book-flight", "book-hotel", "book-car", "undo-car/give-back", "undo-hotel/give-back", "undo-flight/give-back"}
		for i, id := range order {
			if o := last[id]; !o.Status.Ended() || i > 0 && o.Number <= last[order[i-1]].Number {
				t.Errorf("%s is %s, with the number %d", id, o.Status, o.Number)
			}
		}
	})
	if done.Cuts < 12 {
		t.Errorf("%+v: a saga has more commits than that", done)
	}
}
