package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// The credentials of the tests. They must never be seen.
const (
	secretKey    = "canary-secret-key-7f3a"
	sessionToken = "canary-session-token-9b1c"
)

// setupSWF calls the program on a fake of Amazon SWF, served over loopback.
func setupSWF(t *testing.T, c fakeswf.Config) (*cli, *fakeswf.Server) {
	t.Helper()
	c.PollWait = 50 * time.Millisecond
	server := fakeswf.New(c)
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Close() // first: it ends polls that wait
		web.Close()
	})
	return &cli{t: t, backend: "swf:?endpoint=" + web.URL}, server
}

// homeOf opens a backend in this process.
func homeOf(t *testing.T, server *fakeswf.Server) *swf.Backend {
	t.Helper()
	b, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", secretKey, sessionToken),
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

// engineOn makes an engine with definitions and tasks.
func engineOn(t *testing.T, b lambdabiz.Backend, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	t.Helper()
	e, err := lambdabiz.New(b, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(items...); err != nil {
		t.Fatal(err)
	}
	return e
}

// works runs an engine until the test ends.
func works(t *testing.T, e *lambdabiz.Engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// approval waits for an event, and returns it.
var approval = lambdabiz.Define("Approval", func(o lambdabiz.Context, _ any) (string, error) {
	return lambdabiz.WaitForEvent[string](o, "Approve")
})

const restart = "--on-used-id=restart-ended"

func TestCommandsOnSWF(t *testing.T) {
	t.Parallel()
	c, server := setupSWF(t, fakeswf.Config{})
	c.must("start", "Approval", "a/1", restart, `{"n":1}`)
	c.must("start", "Approval", "a/2", restart)
	c.must("start", "Approval", "a/3", restart)
	if out := c.must("show", "a/1"); !strings.Contains(out, "SCHEDULED") || !strings.Contains(out, `{"n":1}`) {
		t.Errorf("show printed %s", out)
	}
	if v := decode[map[string]any](t, c.must("start", "Approval", "a/1", restart, "-o", "json")); v["created"] != false {
		t.Errorf("the second start printed %v", v)
	}
	raise := []string{"raise", "a/1", "Approve", `"yes"`, "--key", "k"}
	for range 2 {
		if out := c.must(raise...); !strings.Contains(out, "if the key k was used before, nothing was added") {
			t.Errorf("raise with a key prints %s", out)
		}
	}
	if v := decode[raised](t, c.must(append(raise, "-o", "json")...)); v.Receipt != lambdabiz.ReceiptUnknown {
		t.Errorf("raise with a key prints %+v", v)
	}
	c.must("cancel", "a/2", "--reason", "no need")
	c.must("terminate", "a/3", "--reason", "stuck")
	c.must("pause", "a/1")
	if s := c.show("a/1"); !s.Paused {
		t.Errorf("after pause it is %+v", s)
	}
	works(t, engineOn(t, homeOf(t, server), approval))
	c.must("resume", "a/1")
	if out := c.must("watch", "a/1", "--interval", "10ms"); !strings.Contains(out, "SUCCEEDED") {
		t.Errorf("watch printed %s", out)
	}
	if r := c.call("watch", "a/2", "--interval", "10ms"); r.code != exitError || !strings.Contains(r.out, "CANCELLED") {
		t.Errorf("watch printed %s", r.out)
	}
	out := c.must("list", "-o", "json")
	for _, words := range []string{"a/1", "a/2", "a/3", "SUCCEEDED", "CANCELLED", "TERMINATED"} {
		if !strings.Contains(out, words) {
			t.Errorf("list does not have %s: %s", words, out)
		}
	}
	if out := c.must("list", "--status", "TERMINATED"); strings.Contains(out, "a/1") || !strings.Contains(out, "a/3") {
		t.Errorf("list printed %s", out)
	}
	c.fails(exitNotFound, "not found", "show", "nobody")
	c.fails(exitConflict, "has ended", "raise", "a/3", "Approve")
	c.must("doctor")
	if out := c.must("__complete", "show", "a/"); !strings.Contains(out, "a/1") {
		t.Errorf("completing gives %s", out)
	}
}

func TestWhatSWFCannotDoIsRefused(t *testing.T) {
	t.Parallel()
	c, _ := setupSWF(t, fakeswf.Config{})
	c.must("start", "Approval", "a", restart)
	for _, test := range []struct{ words, args string }{
		{"does not support start policies for a closed id", "start Approval a"},
		{"--on-used-id reject-open or restart-ended", "start Approval a"},
		{"does not support events before the start", "raise b Approve --before-start 1h"},
		{"does not support lists by name, tag or time", "list --name Approval"},
		{"does not support purging", "purge a"},
		{"(see --store)", "purge a"},
	} {
		c.fails(exitError, test.words, strings.Fields(test.args)...)
	}
}

// SWF never forgets a domain: one that is misspelt must not be registered by those who only look.
func TestReadingRegistersNoDomain(t *testing.T) {
	t.Parallel()
	c, server := setupSWF(t, fakeswf.Config{})
	for _, args := range []string{"list", "show a", "watch", "raise a b", "cancel a", "purge a", "rest-worker"} {
		c.fails(exitError, "there is no domain LambdaBiz", strings.Fields(args)...)
	}
	if r := c.call("doctor"); r.code != exitProblems || !strings.Contains(r.out, "PROBLEM: it does not exist") {
		t.Errorf("doctor: exit code %d, %s%s", r.code, r.out, r.errs)
	}
	if n := server.Calls()["RegisterDomain"]; n != 0 {
		t.Errorf("%d domains were registered", n)
	}
}

func TestWrongTargets(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, test := range []struct{ words, args string }{
		{`option "colour"`, "list --backend swf:?colour=red"},
		{`option "region"`, "list --backend swf:?region=a&region=b"},
		{"the endpoint must be http://HOST:PORT", "list --backend swf:?endpoint=ftp://x"},
		{"the endpoint must be http://HOST:PORT", "list --backend swf: --endpoint http://me:" + secretKey + "@x"},
		{"the retry mode is", "list --backend swf: --retry-mode often"},
		{"it must be dynamodb:TABLE?OPTIONS or sqlite:FILE", "list --store postgres:x"},
		{"it must be true or false", "list --store dynamodb:x?create=yes"},
		{"it stands beside swf:DOMAIN or alone", "list --backend sqlite:x --store sqlite:y"},
		{"--store alone is for show", "start A a --store sqlite:x"},
		{"--store alone is for show", "demo --store sqlite:x"},
		{"--concurrency", "rest-worker --backend swf: --concurrency 0"},
	} {
		cmd := command(t.Context(), strings.Fields(test.args)...)
		cmd.Dir = t.TempDir()
		text, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(string(text), test.words) {
			t.Errorf("%s: exit code %d, %v, %s", test.args, code, err, text)
		}
		if strings.Contains(string(text), secretKey) {
			t.Errorf("%s shows a password: %s", test.args, text)
		}
	}
	cmd := command(t.Context(), "list", "--backend", "swf:")
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "AWS_REGION=") })
	if text, _ := cmd.CombinedOutput(); !strings.Contains(string(text), "no AWS region") {
		t.Errorf("without a region: %s", text)
	}
	c.fails(exitUsage, "rest-worker", "rest-worker", "x")
}

// The endpoint may come from AWS's own variables, and the targets from ours.
func TestTargetsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c, _ := setupSWF(t, fakeswf.Config{})
	_, endpoint, _ := strings.Cut(c.backend, "=")
	c.must("start", "Approval", "a", restart)
	for _, variables := range [][]string{
		{"AWS_ENDPOINT_URL=" + endpoint, backendEnv + "=swf:LambdaBiz"},
		{"AWS_ENDPOINT_URL_SWF=" + endpoint, "AWS_RETRY_MODE=adaptive", backendEnv + "=swf:"},
		{backendEnv + "=" + c.backend},
	} {
		cmd := command(t.Context(), "show", "a")
		cmd.Env = append(cmd.Env, variables...)
		if text, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(text), "SCHEDULED") {
			t.Errorf("%v: %v, %s", variables, err, text)
		}
	}
	cmd := command(t.Context(), strings.Fields(
		"list --region eu-west-1 --task-list mine --backend swf:LambdaBiz --endpoint "+endpoint)...)
	if text, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(text), "Approval") {
		t.Errorf("by flags: %v, %s", err, text)
	}
}

func TestDoctorOnSWF(t *testing.T) {
	t.Parallel()
	c, server := setupSWF(t, fakeswf.Config{})
	c.must("start", "Approval", "waits", restart)
	broken := lambdabiz.Define("Broken", func(lambdabiz.Context, any) (any, error) { panic("by intention") })
	b := homeOf(t, server)
	c.must("start", "Broken", "broken", restart)
	works(t, engineOn(t, b, broken, approval))
	p := c.start("watch", "broken", "--interval", "10ms", "-o", "json")
	p.waitFor("by intention")
	p.interrupt()
	p.ends(exitInterrupted)
	c.must("start", "Nobody", "lonely", restart, "--task-list", "elsewhere")
	c.finds(map[string]string{"broken": problemBlocked, "lonely": problemUnserved})
	r := c.call("doctor", "--grace", "0s", "--lambda-role", "invoker")
	for _, words := range []string{
		"region", "eu-west-1 at http://127.0.0.1", "from EnvConfigCredentials", "histories stay for 90 days",
		"PROBLEM: it is not the ARN",
		"on task list elsewhere for", "start a worker that serves task list elsewhere", "by intention",
	} {
		if !strings.Contains(r.out, words) {
			t.Errorf("doctor does not say %q:\n%s", words, r.out)
		}
	}
	if r.code != exitProblems {
		t.Errorf("exit code %d, %s", r.code, r.errs)
	}
	if out := c.call("doctor").out; strings.Contains(out, "lonely") {
		t.Errorf("what has waited for less than a minute is reported:\n%s", out)
	}
}

// With a store beside SWF, doctor asked for the runs of an id that a store does not have, and failed.
func TestDoctorOnSWFWithAStore(t *testing.T) {
	t.Parallel()
	c, _ := setupSWF(t, fakeswf.Config{})
	store := "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	c.must("start", "Nobody", "lonely", "--store", store, "--task-list", "elsewhere")
	r := c.call("doctor", "--store", store, "--grace", "0s")
	if r.code != exitProblems || !strings.Contains(r.out, "lonely") || strings.Contains(r.errs, "does not support") {
		t.Errorf("exit code %d, %s\n%s", r.code, r.out, r.errs)
	}
}

// What the program says, at its most talkative, must not have a credential in it.
func TestNoCommandShowsCredentials(t *testing.T) {
	t.Parallel()
	c, _ := setupSWF(t, fakeswf.Config{Fault: func(call fakeswf.Call) fakeswf.Fault {
		if call.Action == "TerminateWorkflowExecution" {
			return fakeswf.Fault{Status: http.StatusBadRequest}
		}
		return fakeswf.Fault{Throttle: call.Number == 1} // the SDK has something to tell
	}})
	store := "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	seen := func(args []string, text string) {
		for _, secret := range []string{secretKey, sessionToken} {
			if strings.Contains(text, secret) {
				t.Errorf("%v shows a credential: %s", args, text)
			}
		}
	}
	nowhere := httptest.NewServer(http.NotFoundHandler())
	nowhere.Close()
	down := "swf:?endpoint=" + nowhere.URL
	for _, backend := range []string{c.backend, down} {
		here := &cli{t: t, backend: backend}
		for _, args := range []string{
			"start Approval a", "list", "show a", "raise a Approve", "pause a", "resume a", "cancel a", "terminate a",
			"drop a 1", "purge a", "doctor", "version",
		} {
			all := append(strings.Fields(args), "-v", "--store", store)
			if backend == down {
				all = append(all, "--retry-mode", "standard")
			}
			r := here.call(all...)
			seen(all, r.out+r.errs)
		}
	}
	waits := c.start("rest-worker", "--orchestration", "b", "-v", "--store", store) // for an orchestration of that id
	waits.waitFor("Ctrl-C stops")
	waits.interrupt()
	words, _ := waits.end()
	seen([]string{"rest-worker"}, words)
	p := c.start("demo", "--timer", "10ms", "-v", "--store", store)
	text, code := p.end()
	seen([]string{"demo"}, text)
	if code != exitOK {
		t.Errorf("demo: exit code %d:\n%s", code, text)
	}
	if _, err := os.Stat(strings.TrimPrefix(store, "sqlite:")); err != nil {
		t.Error(err)
	}
}
