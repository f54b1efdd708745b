package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// worker makes this binary a worker on the database that it names, which stops in the second step until it is killed.
const worker = "LAMBDABIZ_POSTGRES_WORKER"

func TestMain(m *testing.M) {
	url := os.Getenv(worker)
	if url == "" {
		os.Exit(m.Run())
	}
	fmt.Println("ended:", work(context.Background(), url, "the first", func() {
		fmt.Println("in the second step")
		select {}
	}))
}

// twoSteps says who has made each of its steps.
func twoSteps(who string, inSecond func()) *lambdabiz.Definition[int, []string] {
	return lambdabiz.Define("TwoSteps", func(o lambdabiz.Context, _ int) ([]string, error) {
		first, err := lambdabiz.Step(o, "first", func(context.Context) (string, error) { return who, nil })
		if err != nil {
			return nil, err
		}
		second, err := lambdabiz.Step(o, "second", func(context.Context) (string, error) {
			inSecond()
			return who, nil
		})
		return []string{first, second}, err
	})
}

func work(ctx context.Context, url, who string, inSecond func()) error {
	backend, err := postgres.Open(ctx, url, home.config)
	if err != nil {
		return err
	}
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Lease: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := engine.Register(twoSteps(who, inSecond)); err != nil {
		return err
	}
	return errors.Join(engine.Run(ctx), backend.Close())
}

// A worker is killed while it works. Another one goes on with what is recorded, and nothing that has ended runs twice.
func TestAnotherWorkerGoesOnWhenOneIsKilled(t *testing.T) {
	t.Parallel()
	url := database(t)
	backend := open(t, url)
	client, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	definition := twoSteps("nobody", func() {})
	if err := client.Register(definition); err != nil {
		t.Fatal(err)
	}
	run, err := lambdabiz.Start(t.Context(), client, definition, "a", 0)
	if err != nil {
		t.Fatal(err)
	}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), worker+"="+url)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatal("the worker has ended")
		}
		if strings.Contains(lines.Text(), "in the second step") {
			break
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- work(ctx, url, "the second", func() {}) }()
	got, err := run.Result(t.Context())
	if want := []string{"the first", "the second"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("steps made by %v, %v; want %v", got, err, want)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
