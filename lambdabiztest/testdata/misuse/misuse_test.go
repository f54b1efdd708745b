// Package misuse has tests that fail: the tests of lambdabiztest run them and read what a user would.
package misuse

import (
	"context"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

var code = lambdabiz.Define("Code", func(o lambdabiz.Context, _ int) (int, error) {
	return lambdabiz.CallTask[int](o, "double", "Double", 21)
})

func TestNoStub(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(code)
		_, _ = lambdabiztest.Start(env, code, "code-1", 1).Result()
		t.Error("the test goes on")
	})
}

func TestCrash(t *testing.T) {
	lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(code)
		calls := 0
		lambdabiztest.Stub(env, "double", func(_ context.Context, n int) (int, error) {
			calls++
			return n * calls, nil
		})
		_, _ = lambdabiztest.Start(env, code, "code-1", 1).Result()
		env.Same("calls", calls)
	})
}

func TestRecording(t *testing.T) {
	lambdabiztest.Resume(t, lambdabiztest.Recording{State: []byte(`{}`)}, code)
	t.Error("the test goes on")
}

// It ends the process, and so is the last.
func TestZLeak(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(code)
		lambdabiztest.Stub(env, "double", func(_ context.Context, n int) (int, error) {
			go func() { select {} }()
			return n, nil
		})
		_, _ = lambdabiztest.Start(env, code, "code-1", 1).Result()
		env.Advance(time.Hour)
	})
}
