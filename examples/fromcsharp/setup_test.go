// Package fromcsharp_test has the code that docs/from-csharp.md quotes: each name of LambdaBiz for C#, in Go, and tests
// that run it on the fake of Amazon SWF.
package fromcsharp_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// The types of the original's example.

type Numbers struct{ Number1, Number2 int }

type OperationResult struct {
	Number1, Number2 int
	Result           float64
}

type Request struct {
	LambdaRole      string
	Numbers         Numbers
	OrchestrationID string
}

// functions are the original's five Lambda functions.
func functions(_ context.Context, name, input string) (string, error) {
	var in Numbers
	if err := json.Unmarshal([]byte(input), &in); err != nil {
		return "", err
	}
	a, b := float64(in.Number1), float64(in.Number2)
	var out any
	switch name {
	case "Number":
		out = in
	case "Sum":
		out = OperationResult{in.Number1, in.Number2, a + b}
	case "Difference":
		out = OperationResult{in.Number1, in.Number2, a - b}
	case "Product":
		out = OperationResult{in.Number1, in.Number2, a * b}
	case "Quotient":
		out = OperationResult{in.Number1, in.Number2, a / b}
	default:
		return "", &fakeswf.LambdaError{Reason: "ResourceNotFoundException", Details: name}
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// fake is a fake of SWF that ends with the test. In a bubble of testing/synctest its time is the bubble's.
func fake(t *testing.T, c fakeswf.Config) *fakeswf.Server {
	t.Helper()
	if c.Lambda == nil {
		c.Lambda = functions
	}
	server := fakeswf.New(c)
	t.Cleanup(server.Close)
	return server
}

// onSWF opens a backend on the fake; store may be nil.
func onSWF(t *testing.T, server *fakeswf.Server, store lambdabiz.Store) *swf.Backend {
	t.Helper()
	backend, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: clientOf(server),
		},
		LambdaRole: "arn:aws:iam::123456789012:role/lambdabiz", Store: store, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	return backend
}

// clientOf reaches the fake without a network.
func clientOf(server *fakeswf.Server) *http.Client {
	return &http.Client{Transport: server.Transport()}
}

// engineOn makes an engine; items are what is registered.
func engineOn(t *testing.T, backend lambdabiz.Backend, items ...lambdabiz.Registrable) *lambdabiz.Engine {
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

// newEngine is an engine on a fake of its own, with a store.
func newEngine(t *testing.T, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	t.Helper()
	return engineOn(t, onSWF(t, fake(t, fakeswf.Config{}), memory.NewStore()), items...)
}

// drive runs f on an orchestration that is driven by hand, and ends it.
func drive(t *testing.T, engine *lambdabiz.Engine, id string, f func(o lambdabiz.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	o, err := engine.Create(ctx, id)
	if err != nil {
		return err
	}
	if err := o.Start(nil); err != nil {
		return err
	}
	if err := f(o); err != nil {
		return o.Fail(err)
	}
	return o.Complete(nil)
}
