package swf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsswf "github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

var errCut = errors.New("the wire is cut")

// cutter is the network of one process. From its call number at on nothing goes through any more; with applied that
// call reaches the service and only its answer is lost.
type cutter struct {
	next    http.RoundTripper
	at      int // 0 for never
	applied bool
	cut     chan struct{} // closes with the cut

	mu    sync.Mutex
	count int
}

func newCutter(server *fakeswf.Server, at int, applied bool) *cutter {
	return &cutter{next: server.Transport(), at: at, applied: applied, cut: make(chan struct{})}
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.count++
	n := c.count
	if c.at > 0 && n == c.at {
		close(c.cut)
	}
	c.mu.Unlock()
	switch {
	case c.at == 0 || n < c.at:
		answer, err := c.next.RoundTrip(r)
		if c.isCut() {
			return nil, errCut
		}
		return answer, err
	case n == c.at && c.applied:
		if answer, err := c.next.RoundTrip(r); err == nil {
			_ = answer.Body.Close() // nobody gets it
		}
	}
	return nil, errCut
}

func (c *cutter) isCut() bool {
	select {
	case <-c.cut:
		return true
	default:
		return false
	}
}

func (c *cutter) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// through is a configuration for the fake behind another transport.
func through(server *fakeswf.Server, rt http.RoundTripper) swf.Config {
	c := configFor(server)
	c.AWS.HTTPClient = &http.Client{Transport: rt}
	return c
}

// roundTrip is a transport made of a function.
type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// action is the name of the call that a request makes; its body can be read again.
func action(r *http.Request) (name, body string) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "SimpleWorkflowService."), string(text)
}

// sdk is the real SDK on the fake, for what tests ask themselves.
func sdk(server *fakeswf.Server) *awsswf.Client { return awsswf.NewFromConfig(configFor(server).AWS) }

// historyOf reads the history of the latest run of an id.
func historyOf(t *testing.T, server *fakeswf.Server, id string) []types.HistoryEvent {
	t.Helper()
	return historyOfRun(t, server, id, "")
}

func historyOfRun(t *testing.T, server *fakeswf.Server, id, home string) []types.HistoryEvent {
	t.Helper()
	client := sdk(server)
	if home == "" {
		home = server.LatestRun("LambdaBiz", id)
	}
	var events []types.HistoryEvent
	pages := awsswf.NewGetWorkflowExecutionHistoryPaginator(client, &awsswf.GetWorkflowExecutionHistoryInput{
		Domain: aws.String("LambdaBiz"), Execution: &types.WorkflowExecution{WorkflowId: &id, RunId: &home},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, page.Events...)
	}
	return events
}

// wantSound fails the test if the history of an id breaks a rule that holds whatever goes wrong.
func wantSound(t *testing.T, server *fakeswf.Server, id string) []types.HistoryEvent {
	t.Helper()
	events := historyOf(t, server, id)
	for _, problem := range swf.CheckHistory(events) {
		t.Errorf("%s: %s", id, problem)
	}
	return events
}

// countOf counts the events of a type.
func countOf(events []types.HistoryEvent, kind types.EventType) int {
	n := 0
	for i := range events {
		if events[i].EventType == kind {
			n++
		}
	}
	return n
}

// result waits for a run, and shows what became of it if that takes long.
func result[Out any](t *testing.T, server *fakeswf.Server, e *lambdabiz.Engine, run *lambdabiz.Run[Out], id string) Out {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	out, err := run.Result(ctx)
	if err != nil {
		show(t, server, e, id)
		t.Fatal(err)
	}
	return out
}

// show logs a history and a state.
func show(t *testing.T, server *fakeswf.Server, e *lambdabiz.Engine, id string) {
	t.Helper()
	events := server.Events("LambdaBiz", id, "")
	for _, event := range events[:min(len(events), 200)] {
		t.Log(event.ID, event.Time.Format("15:04:05.000"), event.Type, event.Attributes)
	}
	state, err := e.State(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(state, "", " ")
	t.Log(string(text), err)
}

// process is a backend with an engine, as one program has them. It ends with the test.
type process struct {
	*lambdabiz.Engine
	t       *testing.T
	backend *swf.Backend
	end     func()
	once    sync.Once
}

// client is a process that works on nothing.
func client(t *testing.T, c swf.Config) *process {
	t.Helper()
	b := openBackend(t, c)
	e, err := lambdabiz.New(b, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Engine: e, t: t, backend: b, end: func() {}}
	t.Cleanup(p.stop)
	return p
}

// workOn makes the process a worker.
func (p *process) workOn(items ...lambdabiz.Registrable) *process {
	p.t.Helper()
	if err := p.Register(items...); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.end = func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	}
	return p
}

// stop drains the worker and closes the backend.
func (p *process) stop() {
	p.once.Do(func() {
		p.end()
		if err := p.backend.Close(); err != nil {
			p.t.Error(err)
		}
	})
}

// terminate is the request to end the open run of an id.
func terminate(id string) *awsswf.TerminateWorkflowExecutionInput {
	return &awsswf.TerminateWorkflowExecutionInput{Domain: aws.String("LambdaBiz"), WorkflowId: &id}
}
