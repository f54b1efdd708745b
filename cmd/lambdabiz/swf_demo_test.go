package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/standins"
	"github.com/lambdabiz/lambdabiz/rest"
)

func TestDemoOnSWFContinuesAfterAKill(t *testing.T) {
	t.Parallel()
	clock := fakeswf.NewManualClock(time.Now())
	var killed atomic.Bool
	c, _ := setupSWF(t, fakeswf.Config{Clock: clock, Fault: func(call fakeswf.Call) fakeswf.Fault {
		if killed.Load() && call.Action == "PollForDecisionTask" { // time runs while the second demo works
			go clock.Advance(time.Second)
		}
		return fakeswf.Fault{}
	}})
	text, code := c.start("demo", "--timer", "0", "--kill-after", "Operation3").end()
	if code != -int(syscall.SIGKILL) {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	before := c.show("Sequence3")
	killed.Store(true)
	clock.Advance(61 * time.Second) // SWF gives up what the killed process held
	text = c.start("demo", "--timer", "0").ends(exitOK)
	if !strings.Contains(text, "Sequence3: continues; ") {
		t.Errorf("the demo says:\n%s", text)
	}
	after := c.show("Sequence3")
	sameAsBefore(t, &before, &after)
	if text := c.start("demo").ends(exitOK); !strings.Contains(text, "nothing ran") {
		t.Errorf("after the end the demo says:\n%s", text)
	}
}

// storeAlone reads a store that a demo has written.
func storeAlone(t *testing.T, create, store string) {
	t.Helper()
	c, _ := setupSWF(t, fakeswf.Config{})
	c.must("demo", "--timer", "0", "--store", create)
	c.must("start", "Nobody", "n-1", `{"a":1}`, "--tag", "k=v", "--store", store)
	c.must("raise", "n-2", "Approve", "--before-start", "1h", "--store", store)
	c.fails(exitConflict, "already used", "start", "Sequence3", "Sequence3", "--on-used-id", "reject-existing", "--store", store)
	on := c.show("Sequence3")
	alone := func(args ...string) result {
		t.Helper()
		cmd := command(t.Context(), append(args, "--store", store)...)
		cmd.Dir = t.TempDir()
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run() // the exit code tells
		return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}
	r := alone("show", "Sequence3", "-o", "json")
	got := decode[shown](t, r.out)
	if r.code != exitOK || got.Status != "SUCCEEDED" || len(got.Operations) != len(on.Operations) {
		t.Errorf("show: exit code %d, %s%s", r.code, r.out, r.errs)
	}
	sameAsBefore(t, &on, &got)
	for args, words := range map[string]string{
		"show Sequence3": "Operation5", "list --name Nobody --tag k=v": "n-1", "list --prefix REST": "RESTSequence1",
		"watch Sequence3": "SUCCEEDED",
	} {
		if r := alone(strings.Fields(args)...); r.code != exitOK || !strings.Contains(r.out, words) {
			t.Errorf("%s: exit code %d, %s%s", args, r.code, r.out, r.errs)
		}
	}
	if r := alone("show", "nobody"); r.code != exitNotFound {
		t.Errorf("show of what is not there: exit code %d, %s", r.code, r.errs)
	}
	for _, args := range []string{"raise n-1 Approve", "terminate n-1", "purge n-1", "start Nobody n-3", "doctor"} {
		if r := alone(strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.errs, "--store alone is for") {
			t.Errorf("%s: exit code %d, %s", args, r.code, r.errs)
		}
	}
	c.must("purge", "Sequence3", "--store", store)
	if r := alone("show", "Sequence3"); r.code != exitNotFound {
		t.Errorf("show after purge: exit code %d, %s", r.code, r.errs)
	}
}

func TestAStoreInDynamoDB(t *testing.T) {
	t.Parallel()
	options := "?endpoint=" + standins.DynamoDB(t) + "&region=test1"
	storeAlone(t, "dynamodb:"+options+"&create=true", "dynamodb:LambdaBizState"+options)
	c, _ := setupSWF(t, fakeswf.Config{})
	c.fails(exitError, "there is no table Missing", "list", "--store", "dynamodb:Missing"+options, "--backend", c.backend)
}

func TestAStoreInSQLite(t *testing.T) {
	t.Parallel()
	store := "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	storeAlone(t, store, store)
	c := setup(t)
	cmd := command(t.Context(), "list", "--store", c.backend)
	if text, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(text), "the file does not exist") {
		t.Errorf("a store that is not there: %v, %s", err, text)
	}
}

// calls is an orchestration that needs a REST worker.
var calls = lambdabiz.Define("Calls", func(o lambdabiz.Context, url string) (int, error) {
	return rest.Get[int](o, "get", url, rest.Header("Authorization", rest.Secret("TOKEN")))
})

func TestRESTWorkerOnSWF(t *testing.T) {
	t.Parallel()
	arrived, answered := make(chan struct{}), make(chan struct{})
	arrive, answer := sync.OnceFunc(func() { close(arrived) }), sync.OnceFunc(func() { close(answered) })
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer-of-the-test" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		arrive()
		<-answered
		_, _ = fmt.Fprint(w, 21)
	}))
	t.Cleanup(service.Close)
	t.Cleanup(answer) // before that
	c, server := setupSWF(t, fakeswf.Config{})
	b := homeOf(t, server)
	e := engineOn(t, b, calls)
	works(t, e)
	c.env = []string{secretEnv + "TOKEN=bearer-of-the-test"}
	p := c.start("rest-worker", "-o", "json", "--allow", "127.0.0.1", "--strict", "-v")
	p.waitFor("serves the default task list, 100 calls at the same time")
	run, err := lambdabiz.Start(t.Context(), e, calls, "c-1", service.URL, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	p.interrupt()
	p.waitFor("stops: 1 calls go on")
	answer()
	if line := decode[called](t, p.waitFor(`"operation"`)); line.ID != "c-1" || line.Method != http.MethodGet || line.Error != "" {
		t.Errorf("the call is %+v", line)
	}
	text := p.ends(exitOK)
	if !strings.Contains(text, "1 calls made, 0 of them failed") || strings.Contains(text, "bearer-of-the-test") {
		t.Errorf("the worker says:\n%s", text)
	}
	if n, err := run.Result(t.Context()); err != nil || n != 21 {
		t.Errorf("the result is %d, %v", n, err)
	}
	sqlite := setup(t)
	sqlite.must("start", "Nobody", "n")
	sqlite.fails(exitError, "sqlite does not support queues", "rest-worker")
}
