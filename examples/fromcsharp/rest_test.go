package fromcsharp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/rest"
)

// DummyResponse is the original's.
type DummyResponse struct {
	Status string `json:"status"`
	Call   string `json:"call"`
}

// services are CallGetAsync, CallPostAsync, CallPutAsync and CallDeleteAsync with a type.
func services(o lambdabiz.Context, url string) ([]DummyResponse, error) {
	a, err := rest.Get[DummyResponse](o, "ServiceOperation1", url+"employees")
	if err != nil {
		return nil, err
	}
	b, err := rest.Post[DummyResponse](o, "ServiceOperation2", url+"create", Numbers{15, 5})
	if err != nil {
		return nil, err
	}
	c, err := rest.Put[DummyResponse](o, "ServiceOperation3", url+"update/21", Numbers{15, 5})
	if err != nil {
		return nil, err
	}
	d, err := rest.Delete[DummyResponse](o, "ServiceOperation4", url+"delete/21")
	return []DummyResponse{a, b, c, d}, err
}

// untypedServices are the same without a type.
func untypedServices(o lambdabiz.Context, url string) (any, error) {
	employees, err := rest.Get[any](o, "ServiceOperation5", url+"employees") // what encoding/json makes of it
	if err != nil {
		return nil, err
	}
	whole, err := rest.Get[rest.Response](o, "ServiceOperation6", url+"employees") // status, headers and body
	if err != nil {
		return nil, err
	}
	return []any{employees, whole.Status, string(whole.Body)}, nil
}

// queryAndHeaders are the original's queryString and headers.
func queryAndHeaders(o lambdabiz.Context, base string) (DummyResponse, error) {
	return rest.Get[DummyResponse](o, "ServiceOperation7", base+"employees?page=2",
		rest.Query("fields", "name,salary"),
		rest.QueryValues(url.Values{"status": {"active", "on leave"}}),
		rest.Header("X-Tenant", "7"),
		rest.Header("Authorization", rest.Secret("HR_TOKEN").WithPrefix("Bearer ")))
}

// serve is the original's background process, new AWSRESTService(...).Run(orchestrationId) in a loop; without an id it
// serves all orchestrations. It makes many calls at a time, and ends cleanly with ctx.
func serve(ctx context.Context, backend lambdabiz.Backend, orchestrationID string) error {
	worker, err := rest.NewWorker(backend, rest.WorkerConfig{
		Orchestration: orchestrationID,
		Client:        rest.Config{Timeout: 10 * time.Second, Secrets: lookUp},
	})
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}

// lookUp is where secrets come from: the environment, or a vault.
func lookUp(_ context.Context, name string) (string, error) {
	return map[string]string{"HR_TOKEN": "secret"}[name], nil
}

// one is RESTServiceBase.Run with its three methods, for a service that is no REST service: it takes one call and answers
// it. It reports false when there was none for a minute.
func one(
	ctx context.Context, queue lambdabiz.Queue, list string, send func(ctx context.Context, in lambdabiz.Payload) (any, error),
) (bool, error) {
	activity, err := queue.NextTask(ctx, lambdabiz.TaskRequest{ // GetScheduledActivityAsync
		Kind: lambdabiz.KindService, Queue: list, Wait: time.Minute,
	})
	if err != nil || activity == nil {
		return false, err
	}
	outcome := lambdabiz.TaskOutcome{Status: lambdabiz.StatusSucceeded} // SucceedActivityAsync
	response, err := send(ctx, activity.Operation.Input)
	if err == nil {
		outcome.Result, err = json.Marshal(response)
	}
	if err != nil {
		outcome = lambdabiz.TaskOutcome{Status: lambdabiz.StatusFailed, Error: lambdabiz.FailureOf(err)} // FailActivityAsync
	}
	return true, queue.EndTask(ctx, activity, outcome)
}

// employees is a REST service that answers with what it was asked.
func employees(t *testing.T, seen func(r *http.Request, body string)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen(r, string(body))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","call":%q}`, r.Method+" "+r.URL.RequestURI()+" "+string(body))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// soon is a fake in real time whose polls do not keep a test waiting.
func soon(t *testing.T) *fakeswf.Server {
	t.Helper()
	return fake(t, fakeswf.Config{PollWait: 50 * time.Millisecond})
}

func TestServices(t *testing.T) {
	t.Parallel()
	url := employees(t, func(*http.Request, string) {})
	backend := onSWF(t, soon(t), memory.NewStore())
	engine := engineOn(t, backend)
	ctx, stop := context.WithCancel(t.Context())
	worker := make(chan error, 1)
	err := drive(t, engine, "RESTSequence1", func(o lambdabiz.Context) error {
		go func() { worker <- serve(ctx, backend, "RESTSequence1") }() // as a process of its own would
		out, err := services(o, url)
		if err != nil {
			return err
		}
		var calls []string
		for _, response := range out {
			calls = append(calls, response.Call)
		}
		want := []string{
			"GET /employees ", `POST /create {"Number1":15,"Number2":5}`, `PUT /update/21 {"Number1":15,"Number2":5}`, "DELETE /delete/21 ",
		}
		if !slices.Equal(calls, want) {
			t.Errorf("%q", calls)
		}
		rest, err := untypedServices(o, url)
		want[0] = `[map[call:GET /employees  status:success] 200 {"status":"success","call":"GET /employees "}]`
		if text := fmt.Sprint(rest); text != want[0] {
			t.Error(text)
		}
		return err
	})
	stop()
	if err := errors.Join(err, <-worker); err != nil {
		t.Fatal(err)
	}
}

func TestQueryAndHeaders(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var header http.Header
	url := employees(t, func(r *http.Request, _ string) {
		mu.Lock()
		defer mu.Unlock()
		header = r.Header
	})
	backend := onSWF(t, soon(t), memory.NewStore())
	engine := engineOn(t, backend)
	ctx, stop := context.WithCancel(t.Context())
	worker := make(chan error, 1)
	err := drive(t, engine, "Query", func(o lambdabiz.Context) error {
		go func() { worker <- serve(ctx, backend, "Query") }()
		out, err := queryAndHeaders(o, url)
		if out.Call != "GET /employees?page=2&fields=name%2Csalary&status=active&status=on%20leave " {
			t.Error(out)
		}
		// A literal credential would lie in the history of SWF, where all who may read it find it.
		_, refused := rest.Get[any](o, "ServiceOperation8", url, rest.Header("x-functions-key", "literal"))
		if _, ok := errors.AsType[*lambdabiz.UnsupportedError](refused); !ok {
			t.Errorf("a literal credential: %v", refused)
		}
		return err
	})
	stop()
	if err := errors.Join(err, <-worker); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if header.Get("X-Tenant") != "7" || header.Get("Authorization") != "Bearer secret" || header.Get("Idempotency-Key") == "" {
		t.Errorf("%v", header)
	}
}

func TestOneActivity(t *testing.T) {
	t.Parallel()
	backend := onSWF(t, soon(t), memory.NewStore())
	engine := engineOn(t, backend)
	ended := make(chan error, 1)
	err := drive(t, engine, "One", func(o lambdabiz.Context) error {
		go func() {
			for {
				done, err := one(t.Context(), backend, "lambdabiz-One", func(context.Context, lambdabiz.Payload) (any, error) {
					return rest.Response{Status: 200, Body: []byte(`{"status":"by hand"}`)}, nil
				})
				if done || err != nil {
					ended <- err
					return
				}
			}
		}()
		out, err := rest.Get[DummyResponse](o, "ServiceOperation1", "https://hr.example/employees")
		if out.Status != "by hand" {
			t.Error(out)
		}
		return err
	})
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}
