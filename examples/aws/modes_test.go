package main

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/examples/aws/sequence"
)

// approved starts a Sequence and approves it before it asks.
func approved(t *testing.T, e *lambdabiz.Engine, id string) *lambdabiz.Run[sequence.OperationResult] {
	t.Helper()
	in := sequence.Input{Numbers: sequence.Numbers{Number1: 15, Number2: 5}, CoolDownSeconds: 1}
	run, err := lambdabiz.Start(t.Context(), e, sequence.Sequence, id, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.RaiseEvent(t.Context(), id, "Approve", true); err != nil {
		t.Fatal(err)
	}
	return run
}

func result(ctx context.Context, t *testing.T, run *lambdabiz.Run[sequence.OperationResult]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // against hanging
	defer cancel()
	out, err := run.Result(ctx)
	if err != nil || out.Result != 3 {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestThePulseServesTheSharedTaskList invokes the compiled function as a schedule does, until all has ended.
func TestThePulseServesTheSharedTaskList(t *testing.T) {
	t.Parallel()
	l, _ := begin(t, settings{Mode: "pulse", Timeout: 13 * time.Second, Margin: 10 * time.Second})
	e := client(t, l)
	first, second := approved(t, e, "First"), approved(t, e, "Second")
	for pulses := 1; ; pulses++ {
		if out, err := l.invoke(t.Context(), "Process", []byte(`{"source":"aws.events"}`)); err != nil || string(out) != "null" {
			t.Fatalf("pulse %d: %s, %v", pulses, out, err)
		}
		page, err := e.List(t.Context(), lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Runs) == 2 {
			break
		}
		if pulses == 50 {
			t.Fatalf("after %d pulses only %+v", pulses, page.Runs)
		}
	}
	result(t.Context(), t, first)
	result(t.Context(), t, second)
	if stats := l.lambda.Stats("Process"); stats.ColdStarts != 1 {
		t.Errorf("%+v, want one process", stats)
	}
}

// TestTheProcessServesTheSharedTaskListUntilItIsStopped runs the same program outside of Lambda.
func TestTheProcessServesTheSharedTaskListUntilItIsStopped(t *testing.T) {
	t.Parallel()
	l, out := begin(t, settings{Mode: "process"})
	run := approved(t, client(t, l), "Third")
	process := exec.CommandContext(t.Context(), bootstrap(l.Functions, "process"))
	process.Env, process.Stdout, process.Stderr = l.environment(), out, out
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	result(t.Context(), t, run)
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("it did not end well: %v", err)
	}
}
