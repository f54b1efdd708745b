package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/rest"
)

// newSWF makes a fake of SWF whose polls are short, for in these tests time is real.
func newSWF(t *testing.T) *fakeswf.Server {
	t.Helper()
	server := fakeswf.New(fakeswf.Config{PollWait: 50 * time.Millisecond, LogCalls: true})
	t.Cleanup(server.Close)
	return server
}

// process opens a backend as another process would.
func process(t *testing.T, server *fakeswf.Server) *swf.Backend {
	t.Helper()
	b, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: server.Transport()},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// background runs f until the test ends, or stop is called.
func background(t *testing.T, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil // for the next stop
	}
	t.Cleanup(stop)
	return stop
}

func newWorker(t *testing.T, b lambdabiz.Backend, c rest.WorkerConfig) *rest.Worker {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	w, err := rest.NewWorker(b, c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAWorkerMakesManyCallsOfOrchestrationsElsewhere(t *testing.T) {
	t.Parallel()
	const calls = 5
	var arrived atomic.Int32
	all := make(chan struct{})
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary || r.Header.Get("Idempotency-Key") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if arrived.Add(1) == calls {
			close(all)
		}
		<-all // no call ends before all have come
		_, _ = fmt.Fprintf(w, "%q", r.URL.Path)
	})
	d := lambdabiz.Define("Calls", func(o lambdabiz.Context, host string) ([]string, error) {
		return lambdabiz.Map(o, "all", []string{"a", "b", "c", "d", "e"}, strings.Clone,
			func(o lambdabiz.Context, path string) (string, error) {
				return rest.Get[string](o, "get", host+"/"+path,
					rest.Header("Authorization", rest.Secret("TOKEN").WithPrefix("Bearer ")))
			})
	})
	server := newSWF(t)
	e := newEngine(t, process(t, server), d)
	background(t, e.Run)
	w := newWorker(t, process(t, server), rest.WorkerConfig{Client: rest.Config{
		Secrets: func(_ context.Context, name string) (string, error) {
			return map[string]string{"TOKEN": canary}[name], nil
		},
	}})
	background(t, w.Run)
	run, err := lambdabiz.Start(t.Context(), e, d, "Calls1", host, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	if err != nil {
		t.Fatal(err)
	}
	out, err := run.Result(t.Context())
	if err != nil || fmt.Sprint(out) != "[/a /b /c /d /e]" {
		t.Fatal(out, err)
	}
	for _, event := range server.Events("LambdaBiz", "Calls1", "") {
		if strings.Contains(fmt.Sprint(event), canary) {
			t.Errorf("the secret is in the history: %+v", event)
		}
	}
}

// drive drives an orchestration by hand.
func drive(t *testing.T, e *lambdabiz.Engine, id string) *lambdabiz.Orchestration {
	t.Helper()
	o, err := e.Create(t.Context(), id)
	if err == nil {
		err = o.Start(nil, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAWorkerOfOneOrchestrationFinishesItsCallWhenItStops(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan struct{}), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrive()
		<-answer
		_, _ = w.Write([]byte("21"))
	})
	server := newSWF(t)
	o := drive(t, newEngine(t, process(t, server)), "Sequence/3")
	w := newWorker(t, process(t, server), rest.WorkerConfig{Orchestration: "Sequence/3", Concurrency: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	results := make(chan error, 1)
	go func() {
		n, err := rest.Get[int](o, "get", host)
		if err == nil && n != 21 {
			err = fmt.Errorf("the response is %d", n)
		}
		results <- errors.Join(err, o.Complete(n))
	}()
	<-arrived
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("the worker ended before its call: %v", err)
	default:
	}
	close(answer)
	if err := errors.Join(<-results, <-ended); err != nil {
		t.Fatal(err)
	}
}

// activityRights are what the template allows to a REST worker (RestWorkerPolicy).
var activityRights = []string{
	"PollForActivityTask", "RecordActivityTaskHeartbeat", "RespondActivityTaskCanceled", "RespondActivityTaskCompleted",
	"RespondActivityTaskFailed",
}

// rights lets calls through that a role may make, and refuses others as AWS does.
type rights struct{ next http.RoundTripper }

func (r rights) RoundTrip(request *http.Request) (*http.Response, error) {
	action := strings.TrimPrefix(request.Header.Get("X-Amz-Target"), "SimpleWorkflowService.")
	if slices.Contains(activityRights, action) {
		return r.next.RoundTrip(request)
	}
	denied := `{"__type":"AccessDeniedException","message":"not authorized to perform swf:` + action + `"}`
	return &http.Response{
		StatusCode: http.StatusBadRequest, Request: request, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(denied)),
	}, nil
}

// TestAWorkerNeedsNoMoreThanItsRoleAllows, and waits for its orchestration to begin: it looked for its domain, and for the
// orchestration, and ended.
func TestAWorkerNeedsNoMoreThanItsRoleAllows(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("21")) })
	server := newSWF(t)
	e := newEngine(t, process(t, server))
	b, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: rights{server.Transport()}},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, newWorker(t, b, rest.WorkerConfig{Orchestration: "Sequence/3"}).Run)
	o := drive(t, e, "Sequence/3")
	n, err := rest.Get[int](o, "get", host)
	if err != nil || n != 21 {
		t.Errorf("the call says %d, %v", n, err)
	}
	if err := errors.Join(o.Complete(n), b.Close()); err != nil {
		t.Error(err)
	}
}

func TestAWorkerSaysWhatIsWrongWithItsConfiguration(t *testing.T) {
	t.Parallel()
	b := process(t, newSWF(t))
	inMemory := newMemory(t)
	for _, test := range []struct {
		backend lambdabiz.Backend
		config  rest.WorkerConfig
		want    string
	}{
		{nil, rest.WorkerConfig{}, "the backend is nil"},
		{inMemory, rest.WorkerConfig{}, "memory does not support queues"},
		{b, rest.WorkerConfig{Concurrency: -1}, "Concurrency is -1"},
		{b, rest.WorkerConfig{DrainTimeout: -1}, "DrainTimeout is -1ns"},
		{b, rest.WorkerConfig{Orchestration: "a", Queues: []string{"b"}}, "not both"},
		{b, rest.WorkerConfig{Queues: []string{"a\nb"}}, "TaskQueues"},
		{b, rest.WorkerConfig{Client: rest.Config{Timeout: -1}}, "Config.Timeout"},
	} {
		_, err := rest.NewWorker(test.backend, test.config)
		wantError(t, err, test.want)
	}
}

// literals are credentials in a call's own text.
var literals = map[string]struct {
	target string // after the host
	body   any
	opts   []lambdabiz.CallOption
}{
	"header Authorization":   {opts: []lambdabiz.CallOption{rest.Header("Authorization", "Bearer "+canary)}},
	"header cookie":          {opts: []lambdabiz.CallOption{rest.Header("cookie", "a="+canary)}},
	"header x-functions-key": {opts: []lambdabiz.CallOption{rest.Header("x-functions-key", canary)}},
	"header X-Mine":          {opts: []lambdabiz.CallOption{rest.Header("X-Mine", canary), rest.Redact("x-mine")}},
	"query parameter code":   {target: "/?code=" + canary},
	"query parameter token":  {opts: []lambdabiz.CallOption{rest.Query("token", canary)}},
	"form field password":    {body: url.Values{"password": {canary}}},
}

func post(o lambdabiz.Context, host, name string) error {
	l := literals[name]
	_, err := rest.Post[rest.Response](o, "call", host+l.target, l.body, l.opts...)
	return err
}

func TestALiteralCredentialIsRefusedWhereAnotherProcessMakesTheCall(t *testing.T) {
	t.Parallel()
	server := newSWF(t)
	e := newEngine(t, process(t, server))
	for name := range literals {
		o := drive(t, e, name)
		err := post(o, "http://127.0.0.1:1", name)
		wantError(t, err, "check "+name+": ", "rest.Secret")
		var unsupported *lambdabiz.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Feature != lambdabiz.FeatureValue {
			t.Errorf("%s: %v", name, err)
		}
		if err := o.Complete(nil); err != nil {
			t.Error(err)
		}
		state, err := o.State()
		if err != nil || len(state.Operations) != 0 {
			t.Errorf("%s: recorded are %+v, %v", name, state, err)
		}
	}
	o := drive(t, e, "user")
	_, err := rest.Get[int](o, "call", "http://ada:"+canary+"@127.0.0.1:1")
	wantError(t, err, "check header Authorization: ")
	for _, call := range server.CallLog() {
		if strings.Contains(string(call.Body), canary) {
			t.Errorf("%s has the credential", call.Action)
		}
	}
}

func TestALiteralCredentialIsSentWhereTheCallIsMade(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.RawQuery+fmt.Sprint(r.Header)+body(r), canary) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	e := newEngine(t, newMemory(t))
	for name := range literals {
		o := drive(t, e, name)
		if err := errors.Join(post(o, host, name), o.Complete(nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
