package lambdatask_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go/logging"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdatask"
	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
)

// quickly is a policy with hardly any wait.
func quickly(attempts int, final ...error) lambdabiz.CallOption {
	return lambdabiz.Retry(lambdabiz.Backoff{Attempts: attempts, Initial: time.Millisecond, NonRetryable: final})
}

func TestFunctionErrorSurvivesAResume(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Refuse", func(context.Context, []byte, []byte) ([]byte, *fakelambda.FunctionError) {
			return nil, &fakelambda.FunctionError{
				Message: "2 are missing", Type: "ShortageError", StackTrace: []string{"at a", "at b"}, Handled: true,
			}
		})
		called := make(chan error, 2)
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, in numbers) (int, error) {
			_, err := lambdabiz.CallTask[int](o, "the call", "Refuse", in, quickly(3))
			called <- err
			if _, err := lambdabiz.WaitForEvent[int](o, "go on"); err != nil {
				return 0, err
			}
			return 0, err
		})
		e, stop := b.worker(lambdabiz.Config{}, def, b.client.All())
		run, err := lambdabiz.Start(t.Context(), e, def, "r", numbers{})
		if err != nil {
			t.Fatal(err)
		}
		first := <-called
		stop()
		e, _ = b.worker(lambdabiz.Config{}, def, b.client.All())
		if err := e.RaiseEvent(t.Context(), "r", "go on", 1); err != nil {
			t.Fatal(err)
		}
		second := <-called
		_, third := lambdabiz.Get(e, def, run.ID()).Result(t.Context())
		for name, err := range map[string]error{"first": first, "resumed": second, "outcome": third} {
			task, f := as[*lambdabiz.TaskError](t, err), as[*lambdatask.FunctionError](t, err)
			if task.Task != "Refuse" || task.Attempt != 3 {
				t.Errorf("%s: task %+v", name, task)
			}
			if f.Function != "Refuse" || f.Type != "ShortageError" || f.Message != "2 are missing" || !f.Handled ||
				!slices.Equal(f.StackTrace, []string{"at a", "at b"}) {
				t.Errorf("%s: function error %+v", name, f)
			}
			shortage, other := &lambdatask.FunctionError{Type: "ShortageError"}, &lambdatask.FunctionError{Type: "Other"}
			if !errors.Is(err, shortage) || errors.Is(err, other) {
				t.Errorf("%s: errors.Is does not compare the type of %v", name, err)
			}
		}
		if n := len(b.Invocations("Refuse")); n != 3 {
			t.Errorf("invoked %d times", n)
		}
	})
}

func TestRetryPolicyKnowsTypesOfFunctionErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Refuse", func(context.Context, []byte, []byte) ([]byte, *fakelambda.FunctionError) {
			return nil, &fakelambda.FunctionError{Message: "no", Type: "Final"}
		})
		def := calls("Refuse", quickly(5, &lambdatask.FunctionError{Type: "Final"}))
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		_, err := b.outcome(e, def)
		if f := as[*lambdatask.FunctionError](t, err); f.Handled || len(b.Invocations("Refuse")) != 1 {
			t.Errorf("error %+v after %d invocations", f, len(b.Invocations("Refuse")))
		}
	})
}

func TestMistakesAreFinalAndNameTheFunction(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		b.Inject("Sum",
			fakelambda.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "not authorized"},
			fakelambda.Fault{Status: http.StatusBadGateway, Code: "KMSDisabledException", Message: "no key"},
			fakelambda.Fault{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: "too large"},
			fakelambda.Fault{Status: http.StatusBadRequest, Code: "InvalidRequestContentException", Message: "bad"})
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, in numbers) (int, error) {
			var all []error
			for _, id := range []string{"AccessDenied", "KMS", "RequestEntityTooLarge", "InvalidRequestContent"} {
				_, err := lambdabiz.CallTask[int](o, id, "Sum", in, quickly(4))
				all = append(all, err)
			}
			_, err := lambdabiz.CallTask[int](o, "Nobody", "Nobody", in, quickly(4))
			return 0, errors.Join(append(all, err)...)
		})
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		_, err := b.outcome(e, def)
		if !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("error %v is no ErrTooLarge", err)
		}
		for _, part := range []string{
			"AccessDenied (Sum), attempt 1: invoke Lambda function Sum: AccessDeniedException: not authorized\n",
			"KMS (Sum), attempt 1: invoke Lambda function Sum: KMSDisabledException: no key\n",
			"RequestEntityTooLarge (Sum), attempt 1: ", "InvalidRequestContent (Sum), attempt 1: ",
			"Nobody (Nobody), attempt 1: invoke Lambda function Nobody: ResourceNotFoundException: Function not found: arn:aws:lambda:",
		} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %v", part, err)
			}
		}
		if f := as[*lambdatask.InvokeError](t, err); f.Status != http.StatusForbidden || f.RequestID == "" || f.MayHaveRun || !f.Final {
			t.Errorf("error %+v", f)
		}
	})
}

func TestThrottlesAreWaitedForWithinTheAttempt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		b.Inject("Sum", fakelambda.Throttle(0), fakelambda.ServiceFault(), fakelambda.Throttle(0))
		def := calls("Sum")
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		if got, err := b.outcome(e, def); got != 5 || err != nil {
			t.Fatalf("result %d, %v", got, err)
		}
		s, err := e.State(t.Context(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if o := s.Operations[0]; o.Attempts != 1 || len(b.Invocations("Sum")) != 1 {
			t.Errorf("%d attempts, %d invocations", o.Attempts, len(b.Invocations("Sum")))
		}
	})
}

func TestPatienceIsBounded(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		b.Inject("Sum", fakelambda.Throttle(time.Hour), fakelambda.Throttle(0))
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, in numbers) (int, error) {
			_, err := lambdabiz.CallTask[int](o, "hour", "Sum", in)
			f, ok := errors.AsType[*lambdatask.InvokeError](err)
			if !ok || f.Code != "TooManyRequestsException" || f.Tries != 1 || f.MayHaveRun {
				return 0, err
			}
			return lambdabiz.CallTask[int](o, "again", "Sum", in, quickly(2)) // by the policy, when patience has ended
		})
		e, _ := b.worker(lambdabiz.Config{}, def, b.connect(lambdatask.Config{AWS: awsConfig(), Patience: -1}).All())
		if got, err := b.outcome(e, def); got != 5 || err != nil {
			t.Fatalf("result %d, %v", got, err)
		}
		s, err := e.State(t.Context(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if o := s.Operations[1]; o.Attempts != 2 {
			t.Errorf("%d attempts", o.Attempts)
		}
	})
}

func TestLostAnswerIsNotRepeatedInSilence(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", sum)
		lost := fakelambda.Fault{Drop: fakelambda.DropAnswer}
		b.Inject("Sum", lost, lost)
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, in numbers) (int, error) {
			_, err := lambdabiz.CallTask[int](o, "once", "Sum", in)
			if f, ok := errors.AsType[*lambdatask.InvokeError](err); !ok || !f.MayHaveRun || f.Tries != 1 {
				return 0, err
			}
			return lambdabiz.CallTask[int](o, "twice", "Sum", in, quickly(2))
		})
		e, _ := b.worker(lambdabiz.Config{}, def, b.client.All())
		if got, err := b.outcome(e, def); got != 5 || err != nil {
			t.Fatalf("result %d, %v", got, err)
		}
		list := b.Invocations("Sum")
		if len(list) != 3 {
			t.Fatalf("%d invocations", len(list))
		}
		first, second := infoOf(t, list[1].ClientContext), infoOf(t, list[2].ClientContext)
		if first.IdempotencyKey != second.IdempotencyKey || first.Attempt != 1 || second.Attempt != 2 {
			t.Errorf("attempts %+v, %+v", first, second)
		}
		if other := infoOf(t, list[0].ClientContext); other.IdempotencyKey == first.IdempotencyKey {
			t.Error("two operations have the same key")
		}
	})
}

// TestSDKRepeatsLostAnswersByItself is why the client does not use the SDK's retries.
func TestSDKRepeatsLostAnswersByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, homes["memory"](t))
	b.function("Sum", sum)
	b.Inject("Sum", fakelambda.Fault{Drop: fakelambda.DropAnswer})
	client := lambda.NewFromConfig(awsConfig(), func(o *lambda.Options) { o.BaseEndpoint = aws.String(b.URL()) })
	if _, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("Sum"), Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Invocations("Sum")); n != 2 {
		t.Errorf("%d invocations: if the SDK has stopped repeating them, say so in doc.go", n)
	}
}

func TestTimeoutOfTheHTTPClientDoesNotCutAFunction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]aws.HTTPClient{
		"net/http":  &http.Client{Timeout: 20 * time.Millisecond},
		"the SDK's": awshttp.NewBuildableClient().WithTimeout(20 * time.Millisecond).WithReadTimeout(20 * time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, homes["memory"](t))
			b.function("Slow", func(ctx context.Context, payload, clientContext []byte) ([]byte, *fakelambda.FunctionError) {
				<-time.After(200 * time.Millisecond)
				return sum(ctx, payload, clientContext)
			})
			config := awsConfig()
			config.HTTPClient = c
			def := calls("Slow")
			e, _ := b.worker(lambdabiz.Config{}, def, b.connect(lambdatask.Config{AWS: config}).All())
			if got, err := b.outcome(e, def); got != 5 || err != nil {
				t.Errorf("result %d, %v", got, err)
			}
		})
	}
}

func TestUnreachableLambdaRunsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		client := b.connect(lambdatask.Config{
			AWS: awsConfig(), Endpoint: "http://127.0.0.1:1", Patience: 4 * time.Second, // no port that others are given
		})
		def := calls("Sum")
		e, _ := b.worker(lambdabiz.Config{}, def, client.All())
		_, err := b.outcome(e, def)
		if f := as[*lambdatask.InvokeError](t, err); f.MayHaveRun || f.Code != "" || f.Status != 0 || f.Tries < 2 {
			t.Errorf("error %+v", f)
		}
	})
}

func TestNothingSecretIsLogged(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.function("Sum", func(context.Context, []byte, []byte) ([]byte, *fakelambda.FunctionError) {
			return nil, &fakelambda.FunctionError{Message: "no"}
		})
		config, sdk := awsConfig(), &logbook.Book{}
		config.ClientLogMode = aws.LogSigning | aws.LogRequestWithBody | aws.LogResponseWithBody
		config.Logger = logging.NewStandardLogger(sdk)
		def := calls("Sum", quickly(2))
		e, _ := b.worker(lambdabiz.Config{}, def, b.connect(lambdatask.Config{AWS: config}).All())
		if _, err := b.outcome(e, def); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("error %v", err)
		}
		if sdk.String() != "" {
			t.Errorf("the SDK logged %s", sdk)
		}
		logs := b.logs.String()
		if !strings.Contains(logs, "attempt failed") || strings.Contains(logs, "SECRET") || strings.Contains(logs, "AKID") {
			t.Errorf("the engine logged %s", logs)
		}
	})
}
