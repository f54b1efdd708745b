package fakelambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
)

var bootstrapDir string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fakelambda")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bootstrapDir = dir
	return m.Run()
}

// build compiles the function of the tests as it is deployed, once.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bootstrapDir, "bootstrap")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", "lambda.norpc", "-o", path, "./testdata/bootstrap")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build bootstrap: %w: %s", err, out)
	}
	return path, nil
})

func bootstrap(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// bench is a server with a client of the real SDK, which does not retry.
type bench struct {
	*fakelambda.Server

	t      *testing.T
	client *lambda.Client
}

func setup(t *testing.T, c fakelambda.Config, functions ...fakelambda.Function) *bench {
	t.Helper()
	s, err := fakelambda.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Register(functions...); err != nil {
		t.Fatal(err)
	}
	client := lambda.New(lambda.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", ""),
	})
	return &bench{Server: s, t: t, client: client}
}

// invoke calls a function synchronously, without expecting a success.
func (b *bench) invoke(name, payload string) (*lambda.InvokeOutput, error) {
	return b.client.Invoke(b.t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String(name), Payload: []byte(payload), LogType: types.LogTypeTail,
	})
}

// response is what the bootstrap answers.
type response struct {
	Number, Warm, PID int
	LeftMs            int64
	RequestID, ARN    string
	Custom, Env       map[string]string
}

// ok calls a function that must succeed.
func (b *bench) ok(name, payload string) response {
	b.t.Helper()
	out, err := b.invoke(name, payload)
	if err != nil {
		b.t.Fatal(err)
	}
	if out.FunctionError != nil {
		b.t.Fatalf("function error %s: %s", *out.FunctionError, out.Payload)
	}
	var r response
	if err := json.Unmarshal(out.Payload, &r); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// fault is the error object of a function.
type fault struct {
	ErrorType    string          `json:"errorType"`
	ErrorMessage string          `json:"errorMessage"`
	StackTrace   json.RawMessage `json:"stackTrace"`
}

// fails calls a function that must fail.
func (b *bench) fails(name, payload string) fault {
	b.t.Helper()
	out, err := b.invoke(name, payload)
	if err != nil {
		b.t.Fatal(err)
	}
	if aws.ToString(out.FunctionError) != "Unhandled" {
		b.t.Fatalf("function error %q, payload %s", aws.ToString(out.FunctionError), out.Payload)
	}
	var f fault
	if err := json.Unmarshal(out.Payload, &f); err != nil {
		b.t.Fatal(err)
	}
	return f
}

func as[T error](t *testing.T, err error) T {
	t.Helper()
	e, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("error %v (%T)", err, err)
	}
	return e
}

func echo(_ context.Context, payload, _ []byte) ([]byte, *fakelambda.FunctionError) {
	return bytes.Clone(payload), nil
}
