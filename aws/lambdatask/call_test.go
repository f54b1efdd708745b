package lambdatask_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdatask"
	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
)

func TestCallTaskInvokesTheFunction(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		def := calls("Sum")
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		run, err := lambdabiz.Start(t.Context(), e, def, "Bestellung №1 🧾", numbers{2, 3})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := run.Result(t.Context()); got != 5 || err != nil {
			t.Fatalf("result %d, %v", got, err)
		}
		list := b.Invocations("Sum")
		if len(list) != 1 || string(list[0].Payload) != `{"A":2,"B":3}` {
			t.Fatalf("invocations %+v", list)
		}
		info := infoOf(t, list[0].ClientContext)
		want := lambdatask.Info{
			OrchestrationID: "Bestellung №1 🧾", RunID: run.RunID(), OperationID: "the call", Attempt: 1,
			IdempotencyKey: info.IdempotencyKey,
		}
		if info != want || info.IdempotencyKey == "" {
			t.Errorf("information %+v, want %+v", info, want)
		}
	})
}

func TestNamesOfFunctions(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		b.function("Own", sum)
		named, err := b.client.Named(map[string]string{"add two": "arn:aws:lambda:us-east-1:123456789012:function:Sum:live"})
		if err != nil {
			t.Fatal(err)
		}
		own := lambdabiz.NewTask("Own", func(context.Context, numbers) (int, error) { return 100, nil })
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, in numbers) ([]int, error) {
			var list []int
			for _, name := range []string{
				"Sum", "Sum:live", "123456789012:function:Sum", "arn:aws:lambda:us-east-1:123456789012:function:Sum", "add two", "Own",
			} {
				n, err := lambdabiz.CallTask[int](o, name, name, in)
				if err != nil {
					return nil, err
				}
				list = append(list, n)
			}
			return list, nil
		})
		e, _ := b.worker(lambdabiz.Config{}, def, own, named, b.client.All())
		run, err := lambdabiz.Start(t.Context(), e, def, "r", numbers{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		got, err := run.Result(t.Context())
		if err != nil || !slices.Equal(got, []int{3, 3, 3, 3, 3, 100}) {
			t.Errorf("results %v, %v", got, err)
		}
		var qualifiers []string
		for _, inv := range b.Invocations("Sum") {
			qualifiers = append(qualifiers, inv.Qualifier)
		}
		if want := []string{"$LATEST", "live", "$LATEST", "$LATEST", "live"}; !slices.Equal(qualifiers, want) {
			t.Errorf("qualifiers %q", qualifiers)
		}
		if n := len(b.Invocations("Own")); n != 0 {
			t.Errorf("the function Own was invoked %d times beside the registered task", n)
		}
	})
}

func TestOtherNamesBlockTheRun(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		b.function("Other", sum)
		only, err := b.client.Only("Sum")
		if err != nil {
			t.Fatal(err)
		}
		e, err := lambdabiz.New(b.backend, lambdabiz.Config{Logger: slog.New(slog.NewTextHandler(b.logs, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Register(only); err != nil {
			t.Fatal(err)
		}
		o, err := e.Create(t.Context(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Start("begin"); err != nil {
			t.Fatal(err)
		}
		if n, err := lambdabiz.CallTask[int](o, "a", "Sum", numbers{1, 2}); n != 3 || err != nil {
			t.Errorf("Sum: %d, %v", n, err)
		}
		_, err = lambdabiz.CallTask[int](o, "b", "Other", numbers{1, 2})
		blocked := as[*lambdabiz.BlockedError](t, err)
		if want := `no TASK with the name "Other" is registered`; blocked.Blocked.Reason != want {
			t.Errorf("blocked by %q", blocked.Blocked.Reason)
		}
		if n := len(b.Invocations("Other")); n != 0 {
			t.Errorf("invoked %d times", n)
		}
	})
}

func TestCompiledFunctionKnowsItsOperation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		path := filepath.Join(t.TempDir(), "bootstrap")
		build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", path,
			"../../internal/fakelambda/testdata/bootstrap")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := b.Register(fakelambda.Function{Name: "Sum", Bootstrap: path, Timeout: 30 * time.Second}); err != nil {
			t.Fatal(err)
		}
		type response struct {
			Number int
			Custom map[string]string
		}
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, _ int) (response, error) {
			r, err := lambdabiz.CallTask[response](o, "good", "Sum", map[string]int{"number": 21})
			if err != nil {
				return r, err
			}
			_, err = lambdabiz.CallTask[response](o, "bad", "Sum", map[string]string{"do": "panic"})
			return r, lambdabiz.Do(o, "check", func(context.Context) error {
				f, ok := errors.AsType[*lambdatask.FunctionError](err)
				handler := func(frame string) bool { return strings.HasPrefix(frame, "handle ") }
				if !ok || f.Type != "errorString" || f.Message != "out of cheese" || !slices.ContainsFunc(f.StackTrace, handler) {
					return fmt.Errorf("not as expected: %w, stack %q", err, f.StackTrace)
				}
				return nil
			})
		})
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		run, err := lambdabiz.Start(t.Context(), e, def, "r", 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := run.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Number != 42 || got.Custom[lambdatask.KeyIdempotency] == "" || got.Custom[lambdatask.KeyOrchestration] != "r" ||
			got.Custom[lambdatask.KeyOperation] != "good" || got.Custom[lambdatask.KeyAttempt] != "1" {
			t.Errorf("response %+v", got)
		}
	})
}

func TestPayloadsOverTheLimitAreNotSent(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, _ int) (int, error) {
			large := strings.Repeat("a", lambdatask.MaxPayloadBytes-1) // one byte over, with its quotes
			_, err := lambdabiz.CallTask[int](o, "large", "Sum", large, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3}))
			return 0, err
		})
		e, _ := b.worker(lambdabiz.Config{MaxPayloadBytes: 8 << 20}, def, b.client.All())
		run, err := lambdabiz.Start(t.Context(), e, def, "r", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = run.Result(t.Context())
		if task := as[*lambdabiz.TaskError](t, err); !errors.Is(err, lambdabiz.ErrTooLarge) || task.Attempt != 1 ||
			!strings.Contains(err.Error(), "Lambda function Sum") {
			t.Errorf("error %v", err)
		}
		if n := len(b.Invocations("Sum")); n != 0 {
			t.Errorf("invoked %d times", n)
		}
	})
}

func TestIDsThatDoNotFitIntoTheClientContext(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		def := calls("Sum", lambdabiz.IdempotencyKey(strings.Repeat("k", lambdatask.MaxClientContextBytes)))
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		if _, err := b.outcome(e, def); !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("error %v", err)
		}
		if n := len(b.Invocations("Sum")); n != 0 {
			t.Errorf("invoked %d times", n)
		}
	})
}

func TestTimeoutEndsTheAttempt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Slow", func(ctx context.Context, _, _ []byte) ([]byte, *fakelambda.FunctionError) {
			<-ctx.Done()
			return nil, nil
		})
		def := calls("Slow", lambdabiz.Timeout(50*time.Millisecond))
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		_, err := b.outcome(e, def)
		if task := as[*lambdabiz.TaskError](t, err); !errors.Is(err, context.DeadlineExceeded) || task.Task != "Slow" {
			t.Errorf("error %v", err)
		}
	})
}

func TestCancelledCallLeavesTheFunction(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		started, release := make(chan struct{}), make(chan struct{})
		b.function("Slow", func(ctx context.Context, payload, clientContext []byte) ([]byte, *fakelambda.FunctionError) {
			close(started)
			<-release
			return sum(ctx, payload, clientContext)
		})
		def := calls("Slow", quickly(3))
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		run, err := lambdabiz.Start(t.Context(), e, def, "r", numbers{})
		if err != nil {
			t.Fatal(err)
		}
		<-started
		if err := e.Cancel(t.Context(), "r", "not wanted"); err != nil {
			t.Fatal(err)
		}
		_, err = run.Result(t.Context())
		if !errors.Is(err, lambdabiz.ErrCancelled) {
			t.Errorf("error %v", err)
		}
		close(release)
		if n := len(b.Invocations("Slow")); n != 1 {
			t.Errorf("invoked %d times", n)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]aws.Config{
		"config.WithRegion":                        {Credentials: awsConfig().Credentials},
		"credentials.NewStaticCredentialsProvider": {Region: "eu-west-1"},
	} {
		if _, err := lambdatask.New(lambdatask.Config{AWS: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	client, err := lambdatask.New(lambdatask.Config{AWS: awsConfig()})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"", "a/b", "two words", strings.Repeat("a", 65), "arn:aws:swf:eu-west-1:123456789012:function:Sum", "Sum:", "../Sum",
	} {
		if _, err := client.Only("Sum", name); err == nil {
			t.Errorf("the function %q was accepted", name)
		}
	}
}
