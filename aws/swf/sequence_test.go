package swf_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

type numbers struct{ A, B float64 }

// sequence is the original's program: five Lambda tasks, a timer and an event.
var sequence = lambdabiz.Define("Sequence", func(o lambdabiz.Context, in numbers) (float64, error) {
	var sum float64
	for _, name := range []string{"Number", "Sum", "Difference", "Product", "Quotient"} {
		out, err := lambdabiz.CallTask[float64](o, "Operation"+name, name, in)
		if err != nil {
			return 0, err
		}
		sum += out
	}
	if err := lambdabiz.Sleep(o, "Timer", 30*time.Second); err != nil {
		return 0, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
	if err != nil || !approved {
		return 0, err
	}
	return sum, nil
})

func lambdas(_ context.Context, name, input string) (string, error) {
	var in numbers
	if err := json.Unmarshal([]byte(input), &in); err != nil {
		return "", err
	}
	var out float64
	switch name {
	case "Number":
		out = in.A
	case "Sum":
		out = in.A + in.B
	case "Difference":
		out = in.A - in.B
	case "Product":
		out = in.A * in.B
	case "Quotient":
		out = in.A / in.B
	default:
		return "", &fakeswf.LambdaError{Reason: "ResourceNotFoundException", Details: name}
	}
	text, err := json.Marshal(out)
	return string(text), err
}

func TestASequenceRunsOnSWF(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{Lambda: lambdas})
		b := openBackend(t, configFor(server))
		e, stop := work(t, b, lambdabiz.Config{}, sequence)
		run, err := lambdabiz.Start(t.Context(), e, sequence, "Sequence/3", numbers{15, 5}, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := e.RaiseEvent(t.Context(), "Sequence/3", "Approve", true); err != nil {
			t.Fatal(err)
		}
		out, err := run.Result(t.Context())
		if err != nil || out != 15+20+10+75+3 {
			t.Fatal(out, err)
		}
		state, err := e.State(t.Context(), "Sequence/3")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.MarshalIndent(state, "", " ")
		t.Logf("%s\n%v", text, server.Calls())
		stop()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
