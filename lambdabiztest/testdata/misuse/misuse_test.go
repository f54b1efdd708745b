// Package misuse has tests that fail: the tests of lambdabiztest run them and read what a user would. The comments say
// at which line go test shall say it.
package misuse

import (
	"context"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

const most = 1000 * time.Hour

var code = lambdabiz.Define("Code", func(o lambdabiz.Context, _ int) (int, error) {
	return lambdabiz.CallTask[int](o, "double", "Double", 21)
})

var wait = lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (bool, error) {
	return lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Timeout(most))
})

// lateCode and lateWait come to their mistakes after an hour: not before the line that lets it pass.
var lateCode = lambdabiz.Define("Code", func(o lambdabiz.Context, _ int) (int, error) {
	if err := lambdabiz.Sleep(o, "hour", time.Hour); err != nil {
		return 0, err
	}
	return lambdabiz.CallTask[int](o, "double", "Double", 21)
})

var lateWait = lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (bool, error) {
	if err := lambdabiz.Sleep(o, "hour", time.Hour); err != nil {
		return false, err
	}
	return lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Timeout(most))
})

func double(env *lambdabiztest.Env) *lambdabiztest.Call {
	return lambdabiztest.Stub(env, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
}

func TestNoStub(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) { // said here: what was called:
		env.Register(code)
		_, _ = lambdabiztest.Start(env, code, "code-1", 1).Result() // said here: orchestration code-1 is blocked: the task "Double"
		t.Error("the test goes on")
	})
}

func TestInput(t *testing.T) {
	lambdabiztest.Run(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(code)
		call := double(env)
		call.Input(20) // said here: orchestration code-1 calls operation "double" with another input than expected
		_, _ = lambdabiztest.Start(env, code, "code-1", 1).Result()
	})
}

func TestExpectations(t *testing.T) {
	lambdabiztest.Run(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(code)
		first := double(env)
		env.Expect("double").Times(2)                       // said here: the expectation of "double" was called once, expected 2 times
		second := env.Expect("refund")                      // said here: the expectation of "refund" was not used
		lambdabiztest.StubStep[int](env, "nothing", nil)    // said here: the stub of "nothing" was not used
		lambdabiztest.StubDo(env, "none", nil).Of("code-7") // said here: the stub of "none" in orchestration code-7 was not used
		lambdabiztest.InOrder(first, second)                // said here: the expectation of "refund" has a place in an order
		_, _ = lambdabiztest.Start(env, code, "code-1", 1).Result()
	})
}

func TestTypes(t *testing.T) {
	lambdabiztest.Run(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(lateCode)
		lambdabiztest.Stub(env, "double", func(context.Context, string) (int, error) { return 0, nil })
		lambdabiztest.Start(env, lateCode, "code-1", 1)
		env.Advance(2 * time.Hour) // said here: orchestration code-1 is blocked: the stub of "double" takes string, and the code calls it with int
	})
}

func TestEvent(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(lateWait)
		lambdabiztest.Start(env, lateWait, "wait-1", 1)
		env.Raise("wait-1", "Approve", "perhaps")
		env.Advance(2 * time.Hour) // said here: orchestration wait-1 is blocked: event 1 ("Approve") cannot be read
		t.Error("the test goes on")
	})
}

func TestOpen(t *testing.T) {
	lambdabiztest.Run(t, func(_ *testing.T, env *lambdabiztest.Env) {
		env.Register(wait)
		lambdabiztest.Start(env, wait, "wait-1", 1) // said here: orchestration wait-1 (Wait) is still open at the end of the test
		env.Advance(time.Hour)
	})
}

func TestTooLate(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Engine()
		env.Register(code) // said here: Register comes too late
		t.Error("the test goes on")
	})
}

func TestCrash(t *testing.T) {
	lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) { // said here: the process died before commit 1
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

func TestCrashOfNothing(t *testing.T) {
	lambdabiztest.CrashEverywhere(t, func(*testing.T, *lambdabiztest.Env) {}) // said here: the scenario makes no commit
}

func TestRecording(t *testing.T) {
	lambdabiztest.Resume(t, lambdabiztest.Recording{State: []byte(`{}`)}, code) // said here: resume: read the recording
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
