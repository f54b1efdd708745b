package swf_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestWhatDoesNotFitWithItsNamesFailsItsOperation: the run goes on instead of asking for the same again and again.
func TestWhatDoesNotFitWithItsNamesFailsItsOperation(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("/", 100) // 300 characters when it is encoded
	odd := lambdabiz.NewTask(name, func(context.Context, string) (string, error) { return "", nil })
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, _ string) (string, error) { return "", nil })
	tags := map[string]string{}
	for _, c := range "abcdef" {
		tags[strings.Repeat(string(c), 250)] = strings.Repeat("v", 250)
	}
	for what, do := range map[string]func(o lambdabiz.Context) error{
		"name of a task": func(o lambdabiz.Context) error { _, err := lambdabiz.Call(o, "op", odd, ""); return err },
		"name of a child": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChildByName[string](o, "op", name, "")
			return err
		},
		"input of a child with tags": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", child, strings.Repeat("x", 29_990),
				lambdabiz.Tags(tags))
			return err
		},
		"queue of a child": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", child, "", lambdabiz.OnQueue(name))
			return err
		},
		"queue of a child's services": func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallChild(o, "op", child, "", lambdabiz.OnQueue(strings.Repeat("q", 254)))
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				if err := do(o); !errors.Is(err, lambdabiz.ErrTooLarge) {
					return 0, fmt.Errorf("it is %w", err)
				}
				return 7, nil
			})
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				p := client(t, configFor(server)).workOn(d, odd, child)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); out != 7 {
					t.Error("the result is", out)
				}
			})
		})
	}
}
