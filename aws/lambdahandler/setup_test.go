package lambdahandler_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdahandler"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

const (
	role  = "arn:aws:iam::123456789012:role/lambdabiz-invoker"
	other = "arn:aws:iam::123456789012:role/another"
)

// bench is a handler with the fake of SWF that it works on, in a bubble.
type bench struct {
	*lambdahandler.Handler

	t       *testing.T
	backend *swf.Backend
	client  *lambdabiz.Engine

	mu    sync.Mutex
	polls []time.Time // when polls began
	roles []string
	tasks map[string]int // invocations of Lambda functions
}

// inBubble runs f with a fake clock.
func inBubble(t *testing.T, c lambdahandler.Config, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(setup(t, c))
	})
}

func setup(t *testing.T, c lambdahandler.Config) *bench {
	t.Helper()
	b := &bench{t: t, tasks: map[string]int{}}
	server := fakeswf.New(fakeswf.Config{
		Lambda: b.lambda,
		AssumeRole: func(role string) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.roles = append(b.roles, role)
			return nil
		},
		Fault: func(call fakeswf.Call) fakeswf.Fault {
			if strings.HasPrefix(call.Action, "PollFor") {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.polls = append(b.polls, time.Now())
			}
			return fakeswf.Fault{}
		},
	})
	t.Cleanup(server.Close)
	backend, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: server.Transport()},
		},
		LambdaRole: role, Store: memory.NewStore(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Backend, c.Engine.Logger = backend, slog.New(slog.DiscardHandler)
	if b.Handler, err = lambdahandler.New(c); err != nil {
		t.Fatal(err)
	}
	b.backend = backend
	if b.client, err = lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return b
}

// lambda doubles a number, in two seconds.
func (b *bench) lambda(ctx context.Context, name, input string) (string, error) {
	b.mu.Lock()
	b.tasks[name]++
	b.mu.Unlock()
	clock := time.NewTimer(2 * time.Second)
	defer clock.Stop()
	select {
	case <-clock.C:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	var n int
	if err := json.Unmarshal([]byte(input), &n); err != nil {
		return "", err
	}
	out, err := json.Marshal(2 * n)
	return string(out), err
}

func (b *bench) invocations(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tasks[name]
}

// drive is an invocation with a timeout of two minutes. It returns the state and how long it took.
func (b *bench) drive(r lambdahandler.Request) (*lambdabiz.State, time.Duration) {
	b.t.Helper()
	state, took, err := b.driveFor(2*time.Minute, r)
	if err != nil {
		b.t.Fatal(err)
	}
	return state, took
}

func (b *bench) driveFor(timeout time.Duration, r lambdahandler.Request) (*lambdabiz.State, time.Duration, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), timeout)
	defer cancel()
	begin := time.Now()
	state, err := b.Drive(ctx, r)
	took := time.Since(begin)
	if ctx.Err() != nil {
		b.t.Errorf("the invocation took %v, longer than its timeout", took)
	}
	b.noLatePoll(begin.Add(timeout - 75*time.Second))
	return state, took, err
}

// noLatePoll checks that no poll has begun after a time, and forgets those before.
func (b *bench) noLatePoll(after time.Time) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, at := range b.polls {
		if at.After(after) {
			b.t.Errorf("a poll began %v too late", at.Sub(after))
		}
	}
	b.polls = nil
}

func (b *bench) raise(id, event string, payload any) {
	b.t.Helper()
	if err := b.client.RaiseEvent(b.t.Context(), id, event, payload); err != nil {
		b.t.Fatal(err)
	}
}

func want(t *testing.T, s *lambdabiz.State, status lambdabiz.Status, result string, waitingFor ...string) {
	t.Helper()
	var waits []string
	for _, w := range s.WaitingFor {
		waits = append(waits, w.Operation)
	}
	if s.Status != status || string(s.Result) != result || strings.Join(waits, " ") != strings.Join(waitingFor, " ") {
		t.Errorf("status %v, result %s, waiting for %q, error %v, blocked %+v; want %v, %s, %q",
			s.Status, s.Result, waits, s.Error, s.Blocked, status, result, waitingFor)
	}
}

func as[T error](t *testing.T, err error) T {
	t.Helper()
	e, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("error %v (%T)", err, err)
	}
	return e
}
