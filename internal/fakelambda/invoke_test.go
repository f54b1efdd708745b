package fakelambda_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
)

func TestInvokeByEveryFormOfName(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Echo", Func: echo, Qualifiers: []string{"live", "7"}})
	for _, name := range []string{
		"Echo", "Echo:live", "Echo:$LATEST", "123456789012:function:Echo", "123456789012:function:Echo:7",
		"arn:aws:lambda:us-east-1:123456789012:function:Echo", "arn:aws:lambda:us-east-1:123456789012:function:Echo:live",
	} {
		out, err := b.invoke(name, `[1]`)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if string(out.Payload) != "[1]" {
			t.Errorf("%s: payload %s", name, out.Payload)
		}
	}
	var qualifiers []string
	for _, inv := range b.Invocations("Echo") {
		qualifiers = append(qualifiers, inv.Qualifier)
	}
	if want := []string{"$LATEST", "live", "$LATEST", "$LATEST", "7", "$LATEST", "live"}; !slices.Equal(qualifiers, want) {
		t.Errorf("qualifiers %q", qualifiers)
	}
}

func TestInvokeRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Echo", Func: echo, Qualifiers: []string{"live"}})
	large := []byte(`"` + strings.Repeat("a", fakelambda.MaxRequestBytes) + `"`)
	long := strings.Repeat("A", fakelambda.MaxClientContextBytes+1)
	for name, c := range map[string]struct {
		in   lambda.InvokeInput
		code string
	}{
		"unknown":       {lambda.InvokeInput{FunctionName: aws.String("Nobody")}, "ResourceNotFoundException"},
		"unknown alias": {lambda.InvokeInput{FunctionName: aws.String("Echo:dead")}, "ResourceNotFoundException"},
		"unknown qualifier": {
			lambda.InvokeInput{FunctionName: aws.String("Echo"), Qualifier: aws.String("x")}, "ResourceNotFoundException",
		},
		"two qualifiers": {
			lambda.InvokeInput{FunctionName: aws.String("Echo:live"), Qualifier: aws.String("x")}, "InvalidParameterValueException",
		},
		"bad name": {lambda.InvokeInput{FunctionName: aws.String("a/b")}, "InvalidParameterValueException"},
		"no JSON":  {lambda.InvokeInput{FunctionName: aws.String("Echo"), Payload: []byte("{")}, "InvalidRequestContentException"},
		"too large": {
			lambda.InvokeInput{FunctionName: aws.String("Echo"), Payload: large}, "RequestTooLargeException",
		},
		"event too large": {lambda.InvokeInput{
			FunctionName: aws.String("Echo"), InvocationType: "Event", Payload: large[fakelambda.MaxRequestBytes-fakelambda.MaxEventBytes:],
		}, "RequestTooLargeException"},
		"long context": {
			lambda.InvokeInput{FunctionName: aws.String("Echo"), ClientContext: &long}, "InvalidRequestContentException",
		},
	} {
		_, err := b.client.Invoke(t.Context(), &c.in)
		if got := as[smithy.APIError](t, err).ErrorCode(); got != c.code {
			t.Errorf("%s: %s, want %s", name, got, c.code)
		}
	}
	if s := b.Stats("Echo"); s.Invocations != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestInvokeDryRunDoesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Echo", Func: echo})
	out, err := b.client.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("Echo"), InvocationType: types.InvocationTypeDryRun,
	})
	if err != nil || out.StatusCode != http.StatusNoContent {
		t.Errorf("%+v, %v", out, err)
	}
	if s := b.Stats("Echo"); s.Invocations != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{}, fakelambda.Function{Name: "Echo", Func: echo})
	b.Inject("Echo", fakelambda.Throttle(2*time.Second), fakelambda.ServiceFault(),
		fakelambda.Fault{Drop: fakelambda.DropRequest}, fakelambda.Fault{Drop: fakelambda.DropAnswer})
	_, err := b.invoke("Echo", `1`)
	throttle := as[*types.TooManyRequestsException](t, err)
	if aws.ToString(throttle.RetryAfterSeconds) != "2" || throttle.ErrorMessage() != "Rate Exceeded." ||
		throttle.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded {
		t.Errorf("throttle %+v", throttle)
	}
	_, err = b.invoke("Echo", `2`)
	if fault := as[*types.ServiceException](t, err); fault.ErrorMessage() != "Service error." {
		t.Errorf("fault %v", fault)
	}
	for _, payload := range []string{`3`, `4`} {
		if _, err := b.invoke("Echo", payload); err == nil {
			t.Errorf("the answer to %s arrived", payload)
		}
	}
	if out, err := b.invoke("Echo", `5`); err != nil || string(out.Payload) != "5" {
		t.Errorf("%v, %v", out, err)
	}
	var ran []string
	for _, inv := range b.Invocations("Echo") {
		ran = append(ran, string(inv.Payload))
	}
	if want := []string{"4", "5"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
	if b.Inject("Nobody", fakelambda.ServiceFault()) {
		t.Error("a fault for an unknown function was taken")
	}
}

func TestFuncErrors(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{},
		fakelambda.Function{Name: "Handled", Func: func(context.Context, []byte, []byte) ([]byte, *fakelambda.FunctionError) {
			return nil, &fakelambda.FunctionError{Message: "no", Type: "Refusal", StackTrace: []string{"line 1"}, Handled: true}
		}},
		fakelambda.Function{Name: "Panics", Func: func(context.Context, []byte, []byte) ([]byte, *fakelambda.FunctionError) {
			panic("ouch")
		}},
		fakelambda.Function{Name: "Deaf", Timeout: 50 * time.Millisecond,
			Func: func(ctx context.Context, _, _ []byte) ([]byte, *fakelambda.FunctionError) {
				<-ctx.Done()
				<-t.Context().Done()
				return nil, nil
			}},
	)
	out, err := b.invoke("Handled", `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"errorMessage":"no","errorType":"Refusal","stackTrace":["line 1"]}`; string(out.Payload) != want ||
		aws.ToString(out.FunctionError) != "Handled" {
		t.Errorf("%s: %s", aws.ToString(out.FunctionError), out.Payload)
	}
	if f := b.fails("Panics", `{}`); f.ErrorMessage != "ouch" || f.ErrorType != "string" {
		t.Errorf("error %+v", f)
	}
	if f := b.fails("Deaf", `{}`); f.ErrorType != "Sandbox.Timedout" {
		t.Errorf("error %+v", f)
	}
}

func TestEventIsRetriedTwiceThenDropped(t *testing.T) {
	t.Parallel()
	dropped := make(chan string, 1)
	b := setup(t, fakelambda.Config{
		RetryDelays: []time.Duration{time.Millisecond, time.Millisecond},
		OnDropped: func(name string, event fakelambda.Invocation, payload []byte) {
			dropped <- name + " " + string(event.Payload) + " " + string(payload)
		},
	}, fakelambda.Function{Name: "Fails", Func: func(context.Context, []byte, []byte) ([]byte, *fakelambda.FunctionError) {
		return nil, &fakelambda.FunctionError{Message: "no"}
	}})
	out, err := b.client.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("Fails"), Payload: []byte(`1`), InvocationType: types.InvocationTypeEvent,
	})
	if err != nil || out.StatusCode != http.StatusAccepted {
		t.Fatalf("%+v, %v", out, err)
	}
	if got, want := <-dropped, `Fails 1 {"errorMessage":"no"}`; got != want {
		t.Errorf("dropped %s, want %s", got, want)
	}
	list := b.Invocations("Fails")
	if len(list) != 3 || list[2].Attempt != 3 || list[0].RequestID != list[2].RequestID || !list[0].Async {
		t.Errorf("invocations %+v", list)
	}
}

func TestThrottledEventWaits(t *testing.T) {
	t.Parallel()
	release, ran := make(chan struct{}), make(chan string, 2)
	b := setup(t, fakelambda.Config{ThrottleDelay: time.Millisecond}, fakelambda.Function{
		Name: "One", Concurrency: 1, Timeout: time.Minute,
		Func: func(_ context.Context, payload, _ []byte) ([]byte, *fakelambda.FunctionError) {
			ran <- string(payload)
			<-release
			return nil, nil
		},
	})
	for _, payload := range []string{"1", "2"} {
		if _, err := b.client.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: aws.String("One"), Payload: []byte(payload), InvocationType: types.InvocationTypeEvent,
		}); err != nil {
			t.Fatal(err)
		}
		if payload == "1" {
			<-ran
		}
	}
	close(release)
	if got := <-ran; got != "2" {
		t.Errorf("ran %s", got)
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, fakelambda.Config{})
	for name, f := range map[string]fakelambda.Function{
		"bad name":     {Name: "a:b", Func: echo},
		"neither":      {Name: "a"},
		"both":         {Name: "a", Func: echo, Bootstrap: "b"},
		"long timeout": {Name: "a", Func: echo, Timeout: fakelambda.MaxTimeout + 1},
	} {
		if err := b.Register(f); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
}
