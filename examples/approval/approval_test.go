package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// inBubble runs an approval with days of 24 hours, on virtual time, and returns the answer, what was printed, and how many
// days have passed.
func inBubble(t *testing.T, who string, during func(ctx context.Context, e *lambdabiz.Engine)) (Answer, string, float64, error) {
	t.Helper()
	backend := memory.New()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler), PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	office := &office{out: &out, engine: engine, answers: who}
	approval := define(lambdabiz.NewTask("SendMail", office.sendMail))
	if err := engine.Register(approval, lambdabiz.ErrorValue("expired", errExpired)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	var answer Answer
	err = engine.RunWhile(t.Context(), func(ctx context.Context) error {
		form := Form{What: "a week in Rome", Day: 24 * time.Hour, Calendar: calendar, Expires: expires}
		run, err := lambdabiz.Start(ctx, engine, approval, "form-1", form)
		if err != nil {
			return err
		}
		during(ctx, engine)
		answer, err = run.Result(ctx)
		state, stateErr := engine.State(ctx, "form-1")
		if stateErr != nil {
			return stateErr
		}
		if len(state.Events) != 0 {
			t.Errorf("an answer is left: %+v", state.Events)
		}
		return err
	})
	return answer, out.String(), time.Since(begun).Hours() / 24, err
}

func nothing(context.Context, *lambdabiz.Engine) {}

func TestThirtyDays(t *testing.T) {
	t.Parallel()
	onDay := func(day int, a Answer) func(context.Context, *lambdabiz.Engine) {
		return func(ctx context.Context, e *lambdabiz.Engine) {
			<-time.After(time.Duration(24*day) * time.Hour)
			if err := e.RaiseEvent(ctx, "form-1", "Answer", a); err != nil {
				t.Error(err)
			}
		}
	}
	for name, c := range map[string]struct {
		who    string
		during func(context.Context, *lambdabiz.Engine)
		want   Answer
		expire bool
		mails  int
		days   float64
	}{
		"the boss answers":    {who: "ada", during: nothing, want: Answer{"ada", true}, mails: 4, days: 21},
		"a reminder helps":    {who: "grace", during: nothing, want: Answer{"grace", true}, mails: 2, days: 7},
		"nobody answers":      {during: nothing, expire: true, mails: 5, days: 30},
		"between two mails":   {during: onDay(9, Answer{"eve", false}), want: Answer{"eve", false}, mails: 2, days: 9},
		"on the last day":     {during: onDay(29, Answer{"eve", true}), want: Answer{"eve", true}, mails: 5, days: 29},
		"before the calendar": {during: onDay(0, Answer{"eve", true}), want: Answer{"eve", true}, mails: 1, days: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer, text, days, err := inBubble(t, c.who, c.during)
				if errors.Is(err, errExpired) != c.expire || err != nil && !c.expire {
					t.Fatal(err)
				}
				// The answer and the first mail may meet: then the mail may be sent or not.
				mails := strings.Count(text, "mail to")
				if answer != c.want || mails != c.mails && (c.days > 0 || mails > c.mails) || days < c.days || days > c.days+0.01 {
					t.Errorf("%+v after %v days and %d mails, want %+v after %v and %d:\n%s",
						answer, days, mails, c.want, c.days, c.mails, text)
				}
			})
		})
	}
}
