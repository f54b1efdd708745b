package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// failingCodec fails, or panics, for one type: a codec that encrypts may do so for any.
type failingCodec struct {
	lambdabiz.JSONCodec
	bad   string
	panic bool
}

func (c failingCodec) Encode(v any) (lambdabiz.Payload, error) {
	if strings.Contains(fmt.Sprintf("%T %v", v, v), c.bad) {
		if c.panic {
			panic("no key")
		}
		return nil, errors.New("no key")
	}
	return c.JSONCodec.Encode(v)
}

// A codec that cannot encode what the engine itself records must not leave the run locked.
func TestCodecThatFailsLeavesNoRunLocked(t *testing.T) {
	c := lambdabiz.Define("C", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })
	race := func(o lambdabiz.Context, _ int) (int, error) {
		f := lambdabiz.Go(o, "f", func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "s", one) })
		return lambdabiz.Race(o, "r", f)
	}
	child := func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.CallChild(o, "c", c, 1) }
	for name, test := range map[string]struct {
		codec failingCodec
		code  func(o lambdabiz.Context, _ int) (int, error)
	}{
		"race, error": {failingCodec{bad: "raceResult"}, race}, "race, panic": {failingCodec{bad: "raceResult", panic: true}, race},
		"child, error": {failingCodec{bad: "string x~-c"}, child}, "child, panic": {failingCodec{bad: "string x.c", panic: true}, child},
	} {
		t.Run(name, func(t *testing.T) {
			restsInRealTime(t, lambdabiz.Config{Codec: test.codec}, lambdabiz.Define("D", test.code), c)
		})
	}
}

type unmarshalable struct{}

func (unmarshalable) MarshalJSON() ([]byte, error) { panic("marshal") }

func TestResultsThatCannotBeMarshalled(t *testing.T) {
	for name, opts := range map[string][]lambdabiz.CallOption{"plain": nil, "limited": {lambdabiz.Timeout(time.Minute)}} {
		t.Run(name, func(t *testing.T) {
			restsInRealTime(t, lambdabiz.Config{}, lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
				_, err := lambdabiz.Step(o, "s", func(context.Context) (unmarshalable, error) { return unmarshalable{}, nil }, opts...)
				return 0, err
			}))
		})
	}
	t.Run("error of the function", func(t *testing.T) {
		restsInRealTime(t, lambdabiz.Config{}, lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) {
			var e *brittleError
			return 0, e
		}))
	})
	t.Run("error of a branch", func(t *testing.T) {
		restsInRealTime(t, lambdabiz.Config{}, lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Go(o, "b", func(_ lambdabiz.Context) (int, error) {
				var e *brittleError
				return 0, e
			}).Wait(o)
		}))
	})
}
