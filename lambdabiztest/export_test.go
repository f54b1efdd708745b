package lambdabiztest

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
)

// failing is a test that may fail without harm. What it says is kept.
type failing struct {
	testing.TB

	mu     sync.Mutex
	said   strings.Builder
	failed bool
}

func (f *failing) Helper() {}

func (f *failing) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *failing) say(fails bool, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = f.failed || fails
	f.said.WriteString(text + "\n")
}

func (f *failing) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said.String()
}

func (f *failing) Logf(format string, args ...any)   { f.say(false, fmt.Sprintf(format, args...)) }
func (f *failing) Errorf(format string, args ...any) { f.say(true, fmt.Sprintf(format, args...)) }
func (f *failing) Error(args ...any)                 { f.say(true, fmt.Sprint(args...)) }
func (f *failing) Fail()                             { f.say(true, "") }
func (f *failing) FailNow()                          { f.say(true, ""); runtime.Goexit() }

func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *failing) Fatal(args ...any) {
	f.Error(args...)
	runtime.Goexit()
}

// Output keeps what is written.
func (f *failing) Output() io.Writer { return f }

func (f *failing) Write(p []byte) (int, error) {
	f.say(false, strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// apart runs f to its end, which may be that of its goroutine.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// TryRun is Run whose Env fails a test that is none. It returns what that test said, and whether it failed.
func TryRun(t *testing.T, f func(t *testing.T, env *Env)) (said string, failed bool) {
	t.Helper()
	tb, at := &failing{TB: t}, site()
	synctest.Test(t, func(t *testing.T) { apart(func() { scene(t, tb, at, nil, f) }) })
	return tb.text(), tb.failed
}

// TryCrashEverywhere is CrashEverywhere, as TryRun is Run.
func TryCrashEverywhere(t *testing.T, scenario func(t *testing.T, env *Env), opts ...CrashOption) (done Crashes, said string, failed bool) {
	t.Helper()
	all := &failing{TB: t}
	life := func(name string, f func(t *testing.T, tb testing.TB)) bool {
		tb := &failing{TB: t}
		synctest.Test(t, func(t *testing.T) { apart(func() { f(t, tb) }) })
		all.say(tb.failed, name+":\n"+tb.text())
		return !tb.failed
	}
	apart(func() { done = crashEverywhere(t, all, site(), life, scenario, opts) })
	return done, all.text(), all.failed
}

// TryResume returns why Resume would end the test.
func TryResume(t *testing.T, r Recording, items ...lambdabiz.Registrable) error {
	t.Helper()
	_, err := r.resume(t, items)
	return err
}

// Restless sets at how many moments something may be stored while Result waits.
func Restless(env *Env, moments int) { env.restless = moments }

// Outcomes counts the outcomes that one life of a scenario has.
func Outcomes(t *testing.T, f func(t *testing.T, env *Env)) int {
	t.Helper()
	undisturbed := &cut{}
	synctest.Test(t, func(t *testing.T) { undisturbed.run(t, t, site(), f) })
	return len(undisturbed.outcome)
}
