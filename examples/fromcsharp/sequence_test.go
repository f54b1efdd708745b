package fromcsharp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsswf "github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// process is the original's Functions.ProcessAsync: called again after an interruption, it goes on.
func process(ctx context.Context, engine *lambdabiz.Engine, request Request) (*lambdabiz.State, error) {
	o, err := engine.Create(ctx, request.OrchestrationID)
	if err != nil {
		return nil, err
	}
	switch err := o.Start("Workflow Started"); {
	case errors.Is(err, lambdabiz.ErrClosed):
		return o.State() // it has ended
	case err != nil:
		return nil, err
	}
	e, err := operations(o, request.Numbers)
	if err != nil {
		err = o.Fail(err)
	} else {
		err = o.Complete(e)
	}
	if err != nil && !errors.Is(err, lambdabiz.ErrWaiting) {
		return nil, err
	}
	return o.State()
}

func operations(o lambdabiz.Context, numbers Numbers) (OperationResult, error) {
	var none OperationResult
	a, err := lambdabiz.CallTask[Numbers](o, "Operation1", "Number", numbers)
	if err != nil {
		return none, err
	}
	if _, err := lambdabiz.CallTask[OperationResult](o, "Operation2", "Sum", a); err != nil {
		return none, err
	}
	if _, err := lambdabiz.CallTask[OperationResult](o, "Operation3", "Difference", a); err != nil {
		return none, err
	}
	if _, err := lambdabiz.CallTask[OperationResult](o, "Operation4", "Product", a); err != nil {
		return none, err
	}
	e, err := lambdabiz.CallTask[OperationResult](o, "Operation5", "Quotient", a)
	if err != nil {
		return none, err
	}
	if err := lambdabiz.Sleep(o, "30SecTimer", 30*time.Second); err != nil {
		return none, err
	}
	_, err = lambdabiz.WaitForEvent[bool](o, "Approve")
	return e, err
}

// sequence is the same as a definition: workers run it, and nobody has to call it again.
var sequence = lambdabiz.Define("Sequence", operations)

func TestProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan string, 20)
		server := fake(t, fakeswf.Config{Lambda: func(ctx context.Context, name, input string) (string, error) {
			calls <- name
			return functions(ctx, name, input)
		}})
		engine := engineOn(t, onSWF(t, server, nil))
		withoutStore(t, engine, "Sequence3")
		request := Request{OrchestrationID: "Sequence3", Numbers: Numbers{15, 5}}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		state, err := process(short, engine, request)
		if err != nil || len(state.WaitingFor) != 1 || state.WaitingFor[0].Name != "Approve" {
			t.Fatal(state, err)
		}
		if err := engine.RaiseEvent(t.Context(), "Sequence3", "Approve", true); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			state, err = process(t.Context(), engine, request)
			if err != nil || state.Status != lambdabiz.StatusSucceeded {
				t.Fatal(state, err)
			}
		}
		if string(state.Result) != `{"Number1":15,"Number2":5,"Result":3}` || len(calls) != 5 {
			t.Errorf("%s after %d calls", state.Result, len(calls))
		}
	})
}

// withoutStore starts an orchestration where SWF alone knows the ids, and leaves it to the next caller.
func withoutStore(t *testing.T, engine *lambdabiz.Engine, id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o, err := engine.Create(ctx, id)
	if err == nil {
		err = o.Start("Workflow Started")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine(t, sequence)
		err := engine.RunWhile(t.Context(), func(ctx context.Context) error {
			run, err := lambdabiz.Start(ctx, engine, sequence, "Sequence3", Numbers{15, 5})
			if err != nil {
				return err
			}
			if err := engine.RaiseEvent(ctx, "Sequence3", "Approve", true); err != nil {
				return err
			}
			out, err := run.Result(ctx)
			if out.Result != 3 {
				t.Error(out)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// untyped is CallTaskAsync and WaitForEventAsync without a type.
func untyped(o lambdabiz.Context) (any, error) {
	sum, err := lambdabiz.CallTask[any](o, "Operation2", "Sum", Numbers{15, 5}) // map[string]any
	if err != nil {
		return nil, err
	}
	text, err := lambdabiz.CallTask[json.RawMessage](o, "Operation4", "Product", Numbers{15, 5}) // the JSON as it is
	if err != nil {
		return nil, err
	}
	approved, err := lambdabiz.WaitForEvent[any](o, "Approve")
	return []any{sum, text, approved}, err
}

func TestUntyped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine(t)
		var got any
		go func() {
			<-time.After(time.Minute)
			if err := engine.RaiseEvent(t.Context(), "Untyped", "Approve", true); err != nil {
				t.Error(err)
			}
		}()
		err := drive(t, engine, "Untyped", func(o lambdabiz.Context) (err error) {
			got, err = untyped(o)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		list, _ := got.([]any)
		sum, _ := list[0].(map[string]any)
		text, _ := list[1].(json.RawMessage)
		if sum["Result"] != 20.0 || string(text) != `{"Number1":15,"Number2":5,"Result":75}` || list[2] != true {
			t.Error(got)
		}
	})
}

// twice waits for two events of one name: the first wait takes the first event, the second one the second.
func twice(o lambdabiz.Context) ([]bool, error) {
	first, err := lambdabiz.WaitForEvent[bool](o, "Approve")
	if err != nil {
		return nil, err
	}
	second, err := lambdabiz.WaitForEvent[bool](o, "ApproveAgain", lambdabiz.Named("Approve"))
	return []bool{first, second}, err
}

func TestEventsAreConsumedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine(t)
		withoutStore(t, engine, "Twice")
		for _, answer := range []bool{true, false} {
			if err := engine.RaiseEvent(t.Context(), "Twice", "Approve", answer); err != nil {
				t.Fatal(err)
			}
		}
		var got []bool
		err := drive(t, engine, "Twice", func(o lambdabiz.Context) (err error) {
			got, err = twice(o)
			return err
		})
		if err != nil || !slices.Equal(got, []bool{true, false}) {
			t.Error(got, err)
		}
	})
}

// approve is RaiseEventAsync inside an orchestration: an operation with an id, so a re-run does not raise again.
func approve(o lambdabiz.Context) error {
	return lambdabiz.RaiseEvent(o, "ApproveSequence3", "Sequence3", "Approve", true)
}

// approveFromOutside is RaiseEventAsync outside of one. With a key it may be repeated.
func approveFromOutside(ctx context.Context, engine *lambdabiz.Engine) error {
	return engine.RaiseEvent(ctx, "Sequence3", "Approve", true, lambdabiz.Key("mail-4711"))
}

func TestARaiseIsNotRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := fake(t, fakeswf.Config{})
		engine := engineOn(t, onSWF(t, server, nil))
		withoutStore(t, engine, "Sequence3")
		withoutStore(t, engine, "Boss")
		for range 3 { // interrupted twice after the raise
			short, cancel := context.WithTimeout(t.Context(), 50*time.Second)
			o, err := engine.Create(short, "Boss")
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(nil); err != nil {
				t.Fatal(err)
			}
			if err := approve(o); err != nil {
				t.Fatal(err)
			}
			if _, err := lambdabiz.WaitForEvent[int](o, "Go on"); !errors.Is(err, lambdabiz.ErrWaiting) {
				t.Fatal(err)
			}
			cancel()
		}
		for range 2 {
			if err := approveFromOutside(t.Context(), engine); err != nil {
				t.Fatal(err)
			}
		}
		state, err := engine.State(t.Context(), "Sequence3")
		if err != nil {
			t.Fatal(err)
		}
		if len(state.Events) != 2 { // one by the orchestration, one with the key
			t.Errorf("%+v", state.Events)
		}
	})
}

// report is GetCurrentState, with what became of the statuses and times.
func report(ctx context.Context, engine *lambdabiz.Engine, id string) error {
	state, err := engine.State(ctx, id) // or o.State()
	if err != nil {
		return err // lambdabiz.ErrNotFound
	}
	fmt.Println(state.ID, state.Status, state.ScheduledAt, state.StartedAt, state.EndedAt)
	for _, op := range state.Operations {
		fmt.Println(op.ID, op.Kind, op.Name, op.Status, op.ScheduledAt, op.StartedAt, op.EndedAt, string(op.Result))
		if op.Error != nil {
			fmt.Println("  failed:", op.Error.Message)
		}
	}
	for _, wait := range state.WaitingFor {
		fmt.Println("waits for", wait.Kind, wait.Name)
	}
	return nil
}

func TestReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine(t)
		failed := drive(t, engine, "Fails", func(o lambdabiz.Context) error {
			_, err := lambdabiz.CallTask[int](o, "Operation1", "Nothing", Numbers{})
			var task *lambdabiz.TaskError
			if !errors.As(err, &task) || task.OperationID != "Operation1" {
				t.Errorf("%v", err)
			}
			return err
		})
		if err := errors.Join(failed, report(t.Context(), engine, "Fails")); err != nil {
			t.Fatal(err)
		}
		state, err := engine.State(t.Context(), "Fails")
		if err != nil || state.Status != lambdabiz.StatusFailed || state.StartedAt.IsZero() || state.EndedAt.IsZero() {
			t.Error(state, err)
		}
		if err := report(t.Context(), engine, "Unknown"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestTheOriginalsSignalsAreEvents: RaiseEventAsync of a C# program reaches an orchestration here.
func TestTheOriginalsSignalsAreEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := fake(t, fakeswf.Config{})
		backend := onSWF(t, server, nil)
		engine := engineOn(t, backend)
		withoutStore(t, engine, "Sequence3")
		client := awsswf.New(awsswf.Options{
			Region: "eu-west-1", HTTPClient: clientOf(server), Credentials: aws.AnonymousCredentials{},
		})
		for _, name := range []string{"LambdaBizRunEvent", "Approve"} {
			_, err := client.SignalWorkflowExecution(t.Context(), &awsswf.SignalWorkflowExecutionInput{
				Domain: aws.String("LambdaBiz"), WorkflowId: aws.String("Sequence3"), SignalName: &name, Input: aws.String("true"),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		state, err := engine.State(t.Context(), "Sequence3")
		if err != nil || len(state.Events) != 1 || string(state.Events[0].Payload) != "true" {
			t.Error(state, err)
		}
	})
}
