package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

type key struct{}

// A body finds the same in its context whether it asked for what can be waited for before the end or after it.
func TestBodyContext(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	type look struct{ err, cause error }
	of := func(ctx context.Context) look { return look{ctx.Err(), context.Cause(ctx)} }
	ends := map[string]struct {
		end  func(c *bodyContext, stop context.CancelCauseFunc)
		want look
	}{
		"goes on":          {func(*bodyContext, context.CancelCauseFunc) {}, look{}},
		"the attempt ends": {func(c *bodyContext, _ context.CancelCauseFunc) { c.over(why) }, look{context.Canceled, why}},
		"the attempt ends twice": {func(c *bodyContext, _ context.CancelCauseFunc) {
			c.over(why)
			c.over(errLate)
		}, look{context.Canceled, why}},
		"the attempt ends before the orchestration is to stop": {func(c *bodyContext, stop context.CancelCauseFunc) {
			c.over(why)
			stop(errLate)
		}, look{context.Canceled, why}},
		"the attempt ends after the orchestration is to stop": {func(c *bodyContext, stop context.CancelCauseFunc) {
			stop(why)
			c.over(errLate)
		}, look{context.Canceled, why}},
		"the orchestration is to stop": {func(_ *bodyContext, stop context.CancelCauseFunc) { stop(why) }, look{context.Canceled, why}},
	}
	for name, e := range ends {
		for _, early := range []bool{true, false} {
			parent, stop := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
			c := &bodyContext{Context: parent}
			if early {
				c.Done()
			}
			e.end(c, stop)
			if err := c.Err(); err != e.want.err { //nolint:errorlint // contexts give it as it is
				t.Errorf("%s, asked early %t: Err is %v", name, early, err)
			}
			if got := of(c); got != e.want {
				t.Errorf("%s, asked early %t: %v, want %v", name, early, got, e.want)
			}
			select {
			case <-c.Done():
				if e.want.err == nil {
					t.Errorf("%s, asked early %t: it is done", name, early)
				}
			default:
				if e.want.err != nil {
					t.Errorf("%s, asked early %t: it is not done", name, early)
				}
			}
			if c.Value(key{}) != "value" {
				t.Errorf("%s: a value is lost", name)
			}
			stop(nil)
		}
	}
}

// What is derived of it ends with it, for the same cause.
func TestWhatIsDerivedOfABodyContextEndsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("why")
		c := &bodyContext{Context: t.Context()}
		derived, stop := context.WithCancel(c)
		defer stop()
		told := make(chan error, 1)
		context.AfterFunc(c, func() { told <- context.Cause(c) })
		c.over(why)
		if context.Cause(derived) != why { //nolint:errorlint // it is the same
			t.Errorf("the cause of what is derived is %v", context.Cause(derived))
		}
		if got := <-told; got != why { //nolint:errorlint // it is the same
			t.Errorf("AfterFunc saw %v", got)
		}
	})
}

// Bodies print their contexts, as mocks do with all that they are given, while others wait for them.
func TestABodyContextIsPrintedWhileItIsUsed(t *testing.T) {
	t.Parallel()
	c := &bodyContext{Context: context.Background()}
	var all sync.WaitGroup
	all.Go(func() { c.Done() })
	all.Go(func() { c.over(errLate) })
	all.Go(func() {
		if got, want := fmt.Sprint(c), "context.Background.WithAttempt"; got != want {
			t.Errorf("it is printed as %q, want %q", got, want)
		}
	})
	all.Wait()
}
