package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/rest"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

type Employee struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// newEngine makes an engine without a worker: the tests drive their orchestrations by hand.
func newEngine(t *testing.T, backend lambdabiz.Backend, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	t.Helper()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Register(items...); err != nil {
		t.Fatal(err)
	}
	return engine
}

func newMemory(t *testing.T) lambdabiz.Backend {
	t.Helper()
	backend := memory.New()
	return backend
}

// create starts an orchestration, or takes it over.
func create(t *testing.T, engine *lambdabiz.Engine) *lambdabiz.Orchestration {
	t.Helper()
	o, err := engine.Create(context.Background(), "Staff1")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Start("Workflow Started"); err != nil {
		t.Fatal(err)
	}
	return o
}

func operation(t *testing.T, o *lambdabiz.Orchestration, id string) lambdabiz.Operation {
	t.Helper()
	state, err := o.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range state.Operations {
		if op.ID == id {
			return op
		}
	}
	t.Fatalf("there is no operation %s", id)
	return lambdabiz.Operation{}
}

var quick = lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Microsecond})

func TestCallIsRecordedAndNotRepeated(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodDelete {
			fmt.Fprintf(w, `{ "id": 21, "name": %s }`, strconv.Quote(r.Method+body(r)))
		}
	})
	backend, client := newMemory(t), newClient(t, rest.Config{})
	for range 2 {
		o := create(t, newEngine(t, backend, client.Services()))
		got, err := rest.Get[Employee](o, "get", host)
		if err != nil || got.ID != 21 || got.Name != "GET" {
			t.Errorf("got %v, %v", got, err)
		}
		list, err := rest.Post[*Employee](o, "post", host, Employee{1, "A"})
		if err != nil || list.Name != `POST{"id":1,"name":"A"}` {
			t.Errorf("got %v, %v", list, err)
		}
		object, err := rest.Put[map[string]any](o, "put", host, Employee{2, "B"})
		if err != nil || object["name"] != `PUT{"id":2,"name":"B"}` {
			t.Errorf("got %v, %v", object, err)
		}
		resp, err := rest.Patch[rest.Response](o, "patch", host, nil)
		if err != nil || resp.Status != 200 || string(resp.Body) != `{"id":21,"name":"PATCH"}` {
			t.Errorf("got %s, %v", resp.Body, err)
		}
		gone, err := rest.Delete[Employee](o, "delete", host)
		if err != nil || gone != (Employee{}) {
			t.Errorf("got %v, %v", gone, err)
		}
		head, err := rest.Head(o, "head", host)
		if err != nil || head.Header.Get("Content-Type") != "application/json" || len(head.Body) != 0 {
			t.Errorf("got %v, %v", head, err)
		}
		op := operation(t, o, "post")
		if op.Kind != lambdabiz.KindService || op.Name != "POST" || op.Status != lambdabiz.StatusSucceeded {
			t.Errorf("got %v %s %v", op.Kind, op.Name, op.Status)
		}
	}
	if n := calls.Load(); n != 6 {
		t.Errorf("the service got %d calls, want 6", n)
	}
}

func TestEveryAttemptHasTheSameIdempotencyKey(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 10)
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		keys <- strings.Join(r.Header.Values("Idempotency-Key"), ",")
		if len(keys) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	o := create(t, newEngine(t, newMemory(t)))
	if _, err := rest.Post[rest.Response](o, "a", host, nil, quick); err != nil {
		t.Fatal(err)
	}
	if _, err := rest.Post[rest.Response](o, "b", host, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := rest.Post[rest.Response](o, "c", host, nil, lambdabiz.IdempotencyKey("mine")); err != nil {
		t.Fatal(err)
	}
	first, second, third, other, mine := <-keys, <-keys, <-keys, <-keys, <-keys
	if first == "" || first != second || second != third || other == first || other == "" || mine != "mine" {
		t.Errorf("got %q, %q, %q, %q, %q", first, second, third, other, mine)
	}
	if n := operation(t, o, "a").Attempts; n != 3 {
		t.Errorf("got %d attempts, want 3", n)
	}
}

func TestErrorSurvivesAResume(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "no such employee")
	})
	backend, client := newMemory(t), newClient(t, rest.Config{})
	for range 2 {
		o := create(t, newEngine(t, backend, client.Services()))
		_, err := rest.Get[Employee](o, "get", host+"/21?key=k1")
		e := failure(t, err, rest.ReasonStatus)
		if e.Status != 404 || e.Body != "no such employee" || e.URL != host+"/21?key=REDACTED" || e.Retryable() {
			t.Errorf("got %+v", e)
		}
		var task *lambdabiz.TaskError
		if !errors.As(err, &task) || task.Task != "GET" || task.OperationID != "get" {
			t.Errorf("got %v", err)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the service got %d calls, want 1", n)
	}
}

func TestResponseThatDoesNotFit(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	o := create(t, newEngine(t, newMemory(t)))
	_, err := rest.Get[Employee](o, "get", host)
	e := failure(t, err, rest.ReasonDecode)
	if e.Status != 200 || e.Body != "<html>" {
		t.Errorf("got %+v", e)
	}
	resp, err := rest.Get[rest.Response](o, "raw", host)
	if err != nil || string(resp.Body) != "<html>" {
		t.Errorf("got %q, %v", resp.Body, err)
	}
}

func TestBadRequestRecordsNothing(t *testing.T) {
	t.Parallel()
	o := create(t, newEngine(t, newMemory(t)))
	_, err := rest.Get[Employee](o, "get", "ftp://a.example")
	wantError(t, err, "check url")
	state, err := o.State()
	if err != nil || len(state.Operations) != 0 {
		t.Errorf("got %v, %v", state.Operations, err)
	}
}

func TestTwoClientsOnOneEngineAreRefused(t *testing.T) {
	t.Parallel()
	client := newClient(t, rest.Config{})
	engine := newEngine(t, newMemory(t), client.Services(), client.Services())
	if err := engine.Register(newClient(t, rest.Config{}).Services()); err == nil {
		t.Error("got no error")
	}
}

// Nothing that is a credential may be found in the files of the database.
func TestNoCredentialOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	backend, err := sqlite.Open(filepath.Join(dir, "staff.db"))
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int32
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		seen.Add(int32(strings.Count(fmt.Sprint(r.Header, r.URL, password), canary)))
		w.Header().Set("Set-Cookie", canary)
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, r.Header, r.URL)
		}
	})
	client := newClient(t, rest.Config{Secrets: func(_ context.Context, name string) (string, error) {
		return canary + name, nil
	}})
	o := create(t, newEngine(t, backend, client.Services()))
	withUser := strings.Replace(host, "http://", "http://user:"+canary+"@", 1)
	for i, target := range []string{withUser, host + "?sig=" + canary, host} {
		for j, method := range []string{"get", "put"} {
			id := fmt.Sprint(method, i, j)
			opts := []lambdabiz.CallOption{
				quick, rest.Header("X-Api-Key", canary), rest.Header("Cookie", "s="+canary), rest.Query("code", canary),
				rest.Header("X-Signed", rest.Secret("S")), rest.Query("mine", canary), rest.Redact("mine"),
			}
			if method == "get" {
				_, err = rest.Get[rest.Response](o, id, target, opts...)
			} else {
				_, err = rest.Put[rest.Response](o, id, target, 1, opts...)
			}
			if method == "put" {
				wantReason(t, err, rest.ReasonStatus)
			} else if err != nil {
				t.Error(err)
			}
		}
	}
	if seen.Load() < 12 {
		t.Errorf("the service saw %d credentials", seen.Load())
	}
	state, err := o.State()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(state)
	if strings.Contains(string(text), canary) {
		t.Errorf("a credential is in the state: %s", text)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(data), canary) {
			t.Errorf("a credential is in %s", filepath.Base(file))
		}
	}
	if len(files) == 0 {
		t.Error("there are no files")
	}
	if err := backend.Close(); err != nil {
		t.Error(err)
	}
}

// A service that is registered performs the calls, and the default is four attempts.
func TestDefaultRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := map[string]int{}
		fake := func(_ context.Context, r rest.Request) (rest.Response, error) {
			attempts[r.Method]++
			return rest.Response{}, lambdabiz.RetryAfter(errors.New("no answer"), 5*time.Second)
		}
		o := create(t, newEngine(t, newMemory(t), lambdabiz.NewService("GET", fake), lambdabiz.NewService("POST", fake)))
		_, err := rest.Get[Employee](o, "get", "http://a.example")
		wantError(t, err, "attempt 4", "no answer")
		_, err = rest.Post[Employee](o, "post", "http://a.example", nil, lambdabiz.Retry(lambdabiz.Backoff{}))
		wantError(t, err, "attempt 1", "no answer")
		if attempts["GET"] != 4 || attempts["POST"] != 1 {
			t.Errorf("got %v", attempts)
		}
		if err := o.Complete(nil); err != nil {
			t.Error(err)
		}
	})
}
