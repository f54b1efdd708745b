package lambdabiz_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The state is one snapshot of a run with its operations. Progress is a value for whoever looks.
func ExampleEngine_State() {
	load := lambdabiz.Define("Load", func(o lambdabiz.Context, _ string) (string, error) {
		if err := lambdabiz.SetProgress(o, "half"); err != nil {
			return "", err
		}
		if err := lambdabiz.Sleep(o, "rest", 10*time.Millisecond); err != nil {
			return "", err
		}
		return "all", nil
	})

	ctx := context.Background()
	engine, stop := exampleWorker(load)
	defer stop()
	tags := lambdabiz.Tags(map[string]string{"customer": "ada"})
	run, err := lambdabiz.Start(ctx, engine, load, "load-1", "", tags)
	if err != nil {
		panic(err)
	}
	if _, err := run.Result(ctx); err != nil {
		panic(err)
	}
	state, err := engine.State(ctx, "load-1")
	if err != nil {
		panic(err)
	}
	fmt.Println(state.ID, state.Status, string(state.Progress), string(state.Result))
	for _, op := range state.Operations {
		fmt.Println(op.ID, op.Kind, op.Status)
	}

	page, err := engine.List(ctx, lambdabiz.Filter{Tags: map[string]string{"customer": "ada"}})
	if err != nil {
		panic(err)
	}
	for _, found := range page.Runs {
		fmt.Println(found.ID, found.Name)
	}
	// Output:
	// load-1 SUCCEEDED "half" "all"
	// rest TIMER SUCCEEDED
	// load-1 Load
}

// A start is idempotent by the orchestration id. What a used id means is the starter's choice.
func ExampleOnUsedID() {
	echo := lambdabiz.Define("Echo", func(_ lambdabiz.Context, text string) (string, error) { return text, nil })

	ctx := context.Background()
	engine, stop := exampleWorker(echo)
	defer stop()
	for _, text := range []string{"one", "two"} { // the second start returns the first one's run
		run, err := lambdabiz.Start(ctx, engine, echo, "echo-1", text)
		if err != nil {
			panic(err)
		}
		fmt.Println(run.Result(ctx))
	}
	_, err := lambdabiz.Start(ctx, engine, echo, "echo-1", "three", lambdabiz.OnUsedID(lambdabiz.RejectExisting))
	fmt.Println(err)
	run, err := lambdabiz.Start(ctx, engine, echo, "echo-1", "four", lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output:
	// one <nil>
	// one <nil>
	// start orchestration echo-1: orchestration id is already used
	// four <nil>
}

// A paused orchestration starts nothing. Events are kept for it.
func ExampleEngine_Pause() {
	task := lambdabiz.NewTask("Work", func(context.Context, string) (string, error) { return "done", nil })
	wait := lambdabiz.Define("Wait", func(o lambdabiz.Context, _ string) (string, error) {
		if _, err := lambdabiz.WaitForEvent[string](o, "Go"); err != nil {
			return "", err
		}
		return lambdabiz.Call(o, "work", task, "")
	})

	ctx := context.Background()
	engine, stop := exampleWorker(wait, task)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, wait, "wait-1", "")
	if err != nil {
		panic(err)
	}
	if err := engine.Pause(ctx, "wait-1", "the service is down"); err != nil {
		panic(err)
	}
	if err := engine.RaiseEvent(ctx, "wait-1", "Go", ""); err != nil {
		panic(err)
	}
	state, err := engine.State(ctx, "wait-1")
	if err != nil {
		panic(err)
	}
	fmt.Println("paused:", state.Paused)
	if err := engine.Resume(ctx, "wait-1"); err != nil {
		panic(err)
	}
	fmt.Println(run.Result(ctx))
	// Output:
	// paused: true
	// done <nil>
}
