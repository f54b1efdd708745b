package lambdatask_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdatask"
	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const secretKey = "wJalrXUtnFEMI/SECRET"

func awsConfig() aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", secretKey, "session-SECRET"),
		RetryMode: aws.RetryModeAdaptive, RetryMaxAttempts: 5, // which this package does not take over
	}
}

var homes = map[string]func(t *testing.T) lambdabiz.Backend{
	"memory": func(*testing.T) lambdabiz.Backend {
		b := memory.New()
		return b
	},
	"sqlite": func(t *testing.T) lambdabiz.Backend {
		b, err := sqlite.Open(filepath.Join(t.TempDir(), "test.db"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	},
}

// bench is a store, a stand-in for Lambda, and a client of it.
type bench struct {
	*fakelambda.Server

	t       *testing.T
	backend lambdabiz.Backend
	client  *lambdatask.Client
	logs    *logbook.Book
	stops   []func()
}

// everywhere runs a test on every home, in real time.
func everywhere(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	for name, open := range homes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, setup(t, open(t)))
		})
	}
}

func setup(t *testing.T, backend lambdabiz.Backend) *bench {
	t.Helper()
	s, err := fakelambda.Open(fakelambda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s, t: t, backend: backend, logs: &logbook.Book{}}
	t.Cleanup(func() {
		for _, stop := range b.stops {
			stop()
		}
		if err := errors.Join(b.backend.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	b.client = b.connect(lambdatask.Config{AWS: awsConfig()})
	return b
}

func (b *bench) connect(c lambdatask.Config) *lambdatask.Client {
	b.t.Helper()
	if c.Endpoint == "" {
		c.Endpoint = b.URL()
	}
	client, err := lambdatask.New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

// function registers a function of Lambda.
func (b *bench) function(name string, f fakelambda.Func) {
	b.t.Helper()
	if err := b.Register(fakelambda.Function{Name: name, Func: f, Qualifiers: []string{"live"}}); err != nil {
		b.t.Fatal(err)
	}
}

// worker makes an engine that works until the test ends or stop is called.
func (b *bench) worker(c lambdabiz.Config, items ...lambdabiz.Registrable) (e *lambdabiz.Engine, stop func()) {
	b.t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(b.logs, nil))
	e, err := lambdabiz.New(b.backend, c)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := e.Register(items...); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("run engine: %v", err)
		}
	})
	b.stops = append(b.stops, stop)
	return e, stop
}

// numbers is an input, as its JSON is in the tests.
type numbers struct{ A, B int }

// calls is an orchestration of one call.
func calls(name string, opts ...lambdabiz.CallOption) *lambdabiz.Definition[numbers, int] {
	return lambdabiz.Define("calls", func(o lambdabiz.Context, in numbers) (int, error) {
		return lambdabiz.CallTask[int](o, "the call", name, in, opts...)
	})
}

// outcome starts an orchestration and waits for its end.
func (b *bench) outcome(e *lambdabiz.Engine, d *lambdabiz.Definition[numbers, int]) (int, error) {
	b.t.Helper()
	run, err := lambdabiz.Start(b.t.Context(), e, d, "r", numbers{2, 3})
	if err != nil {
		b.t.Fatal(err)
	}
	return run.Result(b.t.Context())
}

func sum(_ context.Context, payload, _ []byte) ([]byte, *fakelambda.FunctionError) {
	var in numbers
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, &fakelambda.FunctionError{Message: err.Error()}
	}
	result, err := json.Marshal(in.A + in.B)
	if err != nil {
		return nil, &fakelambda.FunctionError{Message: err.Error()}
	}
	return result, nil
}

// infoOf reads the information in a client context as a Go function on Lambda does.
func infoOf(t *testing.T, clientContext []byte) lambdatask.Info {
	t.Helper()
	lc := &lambdacontext.LambdaContext{}
	if err := json.Unmarshal(clientContext, &lc.ClientContext); err != nil {
		t.Fatal(err)
	}
	info, ok := lambdatask.InfoFrom(lambdacontext.NewContext(t.Context(), lc))
	if !ok {
		t.Fatalf("no information in %s", clientContext)
	}
	return info
}

// as finds an error of a type.
func as[T error](t *testing.T, err error) T {
	t.Helper()
	e, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("error %v (%T) has no %T", err, err, e)
	}
	return e
}
