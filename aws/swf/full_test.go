package swf_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestAHistoryThatFillsUpSaysSo: Amazon SWF ended the run at 25,000 events, and its state did not say why.
func TestAHistoryThatFillsUpSaysSo(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, in int) (int, error) { return in, nil })
	for name, c := range map[string]struct {
		from int
		do   func(o lambdabiz.Context) error
		want lambdabiz.Status
	}{
		"steps": {from: 23_504, want: lambdabiz.StatusFailed, do: func(o lambdabiz.Context) error {
			for i := range 1_495 {
				if err := lambdabiz.Do(o, fmt.Sprint("s", i), func(context.Context) error { return nil }); err != nil {
					return err
				}
			}
			return nil
		}},
		"Lambda functions": {from: 23_905, want: lambdabiz.StatusFailed, do: func(o lambdabiz.Context) error {
			_, err := atOnce(o, 800, func(o lambdabiz.Context, i int) (int, error) {
				return lambdabiz.CallTask[int](o, "f", "Remote", i)
			})
			return err
		}},
		"timers": {from: 23_905, want: lambdabiz.StatusFailed, do: func(o lambdabiz.Context) error {
			_, err := atOnce(o, 800, func(o lambdabiz.Context, i int) (int, error) {
				return i, lambdabiz.Sleep(o, "t", time.Second*time.Duration(i+1))
			})
			return err
		}},
		"children": {from: 23_905, want: lambdabiz.StatusFailed, do: func(o lambdabiz.Context) error {
			_, err := atOnce(o, 400, func(o lambdabiz.Context, i int) (int, error) {
				return lambdabiz.CallChild(o, "c", child, i)
			})
			return err
		}},
		"the world": {from: 25_100, want: lambdabiz.StatusTerminated},
	} {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
				return 0, err
			}
			return 1, c.do(o)
		})
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{Lambda: func(_ context.Context, _, input string) (string, error) {
					<-time.After(time.Second)
					return input, nil
				}})
				p := client(t, configFor(server)).workOn(d, child)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Minute)
				if !server.Signal("LambdaBiz", "R", poke, "x", c.from-len(server.Events("LambdaBiz", "R", ""))) {
					t.Fatal("there is no run")
				}
				<-time.After(time.Minute)
				if c.do != nil {
					if err := p.RaiseEvent(t.Context(), "R", "go", 1); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				_, err = run.Result(ctx)
				ended, ok := errors.AsType[*lambdabiz.OrchestrationError](err)
				if !ok || ended.Status != c.want || !strings.Contains(err.Error(), "ContinueAsNew") {
					s := lookAt(t, p.Engine, "R")
					t.Errorf("it is %s, blocked %v, with %v", s.Status, s.Blocked, err)
				}
			})
		})
	}
}
