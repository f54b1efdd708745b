package lambdatask_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdatask"
	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// What a process that a test starts is told.
const (
	envFile     = "LAMBDATASK_TEST_FILE"
	envEndpoint = "LAMBDATASK_TEST_ENDPOINT"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(envFile); file != "" {
		if err := work(context.Background(), file, os.Getenv(envEndpoint)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// twoCalls is the orchestration that is killed between its calls.
var twoCalls = lambdabiz.Define("two calls", func(o lambdabiz.Context, in numbers) (int, error) {
	a, err := lambdabiz.CallTask[int](o, "a", "A", in)
	if err != nil {
		return 0, err
	}
	return lambdabiz.CallTask[int](o, "b", "B", numbers{a, 10})
})

const killLease = 2 * time.Second

// work is the process that is killed.
func work(ctx context.Context, file, endpoint string) error {
	b, err := sqlite.Open(file)
	if err != nil {
		return err
	}
	client, err := lambdatask.New(lambdatask.Config{AWS: awsConfig(), Endpoint: endpoint})
	if err != nil {
		return err
	}
	e, err := lambdabiz.New(b, lambdabiz.Config{Lease: killLease, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := e.Register(twoCalls, client.All()); err != nil {
		return err
	}
	if _, err := lambdabiz.Start(ctx, e, twoCalls, "r", numbers{2, 3}); err != nil {
		return err
	}
	return e.Run(ctx)
}

// TestKilledWorkerDoesNotInvokeAgainWhatIsRecorded kills a worker with SIGKILL during its second invocation.
func TestKilledWorkerDoesNotInvokeAgainWhatIsRecorded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.Open(filepath.Join(t.TempDir(), "unused.db")) // of the bench; the file comes later
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, backend)
	started, dead := make(chan fakelambda.Invocation, 2), make(chan struct{})
	b.function("A", sum)
	if err := b.Register(fakelambda.Function{
		Name: "B", Timeout: time.Minute, OnStart: func(inv fakelambda.Invocation) { started <- inv },
		Func: func(ctx context.Context, payload, clientContext []byte) ([]byte, *fakelambda.FunctionError) {
			<-dead
			return sum(ctx, payload, clientContext)
		},
	}); err != nil {
		t.Fatal(err)
	}
	worker := exec.CommandContext(t.Context(), os.Args[0])
	worker.Env = append(os.Environ(), envFile+"="+file, envEndpoint+"="+b.URL())
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- worker.Wait() }()
	select {
	case <-started:
	case err := <-gone:
		t.Fatalf("the worker ended: %v", err)
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-gone; err == nil {
		t.Fatal("the worker was not killed")
	}
	close(dead)

	if err := b.backend.Close(); err != nil {
		t.Fatal(err)
	}
	if b.backend, err = sqlite.Open(file); err != nil {
		t.Fatal(err)
	}
	e, _ := b.worker(lambdabiz.Config{Lease: killLease}, twoCalls, b.client.All())
	if got, err := lambdabiz.Get(e, twoCalls, "r").Result(t.Context()); got != 15 || err != nil {
		t.Fatalf("result %d, %v", got, err)
	}
	if n := len(b.Invocations("A")); n != 1 {
		t.Errorf("A was invoked %d times", n)
	}
	list := b.Invocations("B")
	if len(list) != 2 {
		t.Fatalf("B was invoked %d times", len(list))
	}
	if first, second := infoOf(t, list[0].ClientContext), infoOf(t, list[1].ClientContext); first != second || first.Attempt != 1 {
		t.Errorf("the operation was %+v, then %+v", first, second)
	}
}
