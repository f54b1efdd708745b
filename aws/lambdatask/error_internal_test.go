package lambdatask

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func TestErrorObjectsOfTheRuntimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload string
		want    FunctionError
	}{
		"Go": {
			`{"errorMessage":"m","errorType":"T","stackTrace":[{"path":"a/b.go","line":7,"label":"f"}]}`,
			FunctionError{Type: "T", Message: "m", StackTrace: []string{"f a/b.go:7"}},
		},
		"Python": {
			`{"errorMessage":"m","errorType":"T","requestId":"x","stackTrace":["  File \"a.py\", line 2\n"]}`,
			FunctionError{Type: "T", Message: "m", StackTrace: []string{`  File "a.py", line 2`}},
		},
		"Node.js": {
			`{"errorType":"T","errorMessage":"m","trace":["T: m","at f"]}`,
			FunctionError{Type: "T", Message: "m", StackTrace: []string{"T: m", "at f"}},
		},
		"one text":      {`{"errorMessage":"m","stackTrace":"a\nb"}`, FunctionError{Message: "m", StackTrace: []string{"a\nb"}}},
		"no stack":      {`{"errorMessage":"m","stackTrace":null}`, FunctionError{Message: "m"}},
		"odd frames":    {`{"errorMessage":"m","stackTrace":[1,{}]}`, FunctionError{Message: "m", StackTrace: []string{"1", "{}"}}},
		"type alone":    {`{"errorType":"T"}`, FunctionError{Type: "T"}},
		"another JSON":  {`{"code":1}`, FunctionError{Message: `{"code":1}`}},
		"no JSON":       {"oops", FunctionError{Message: "oops"}},
		"no UTF-8":      {"\xff", FunctionError{Message: "\uFFFD"}},
		"nothing":       {"", FunctionError{}},
		"wrong message": {`{"errorMessage":1}`, FunctionError{Message: `{"errorMessage":1}`}},
	} {
		got := functionErrorOf("Sum", "Unhandled", []byte(c.payload))
		if got.Function != "Sum" || got.Handled || got.Type != c.want.Type || got.Message != c.want.Message ||
			!slices.Equal(got.StackTrace, c.want.StackTrace) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzFunctionError checks that what a function answers always fits into a record.
func FuzzFunctionError(f *testing.F) {
	f.Add([]byte(`{"errorMessage":"m","errorType":"T","stackTrace":[{"path":"a","line":1,"label":"b"},"c"]}`))
	f.Add([]byte(`{"errorMessage":"` + strings.Repeat(`\u0001`, 9000) + `","stackTrace":["` + strings.Repeat(`\u0001`, 15000) + `"]}`))
	f.Add([]byte(`"` + strings.Repeat("é", 9000)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := functionErrorOf("Sum", "Handled", payload)
		encoded, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > maxErrorBytes || len(e.Message) > maxMessageBytes || len(e.StackTrace) > maxStackFrames {
			t.Errorf("%d bytes, message %d, %d frames", len(encoded), len(e.Message), len(e.StackTrace))
		}
		var back FunctionError
		if err := json.Unmarshal(encoded, &back); err != nil || back.Message != e.Message {
			t.Errorf("read back %+v, %v", back, err)
		}
	})
}

// answer is an error of the SDK with the status and the code.
func answer(status int, code, message string) error {
	response := &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"7"}}}},
		Err:      &smithy.GenericAPIError{Code: code, Message: message},
	}
	return &smithy.OperationError{Err: &awshttp.ResponseError{ResponseError: response, RequestID: "id"}}
}

func TestWhatFollowsFromAnAnswer(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	send := func(err error) error {
		return &smithy.OperationError{Err: &smithyhttp.RequestSendError{Err: &url.Error{Op: "Post", URL: "http://x", Err: err}}}
	}
	for name, c := range map[string]struct {
		err                    error
		again, mayRun, isFinal bool
	}{
		"throttle":           {answer(429, "TooManyRequestsException", ""), true, false, false},
		"unknown throttle":   {answer(429, "SlowDown", ""), true, false, false},
		"service":            {answer(500, "ServiceException", ""), true, true, false},
		"pending":            {answer(409, "ResourceConflictException", ""), true, false, false},
		"clock":              {answer(403, "InvalidSignatureException", "Signature expired: 1 is now earlier than 2"), true, false, false},
		"wrong key":          {answer(403, "InvalidSignatureException", "does not match"), false, false, true},
		"expired":            {answer(403, "ExpiredTokenException", ""), false, false, false},
		"unknown":            {answer(404, "ResourceNotFoundException", ""), false, false, true},
		"new mistake":        {answer(400, "NewException", ""), false, false, true},
		"recursive":          {answer(400, "RecursiveInvocationException", ""), false, false, true},
		"runtime":            {answer(502, "InvalidRuntimeException", ""), false, false, true},
		"file system":        {answer(408, "EFSMountTimeoutException", ""), false, false, false},
		"a proxy's":          {answer(504, "UnknownError", ""), false, true, false},
		"dial":               {send(dial), true, false, false},
		"cut":                {send(io.ErrUnexpectedEOF), false, true, false},
		"dial, time is over": {send(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), false, true, false},
		"no credentials":     {&smithy.OperationError{Err: errors.New("get identity")}, false, false, false},
		"answer is not readable": {&smithy.OperationError{Err: &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusOK}},
			Err:      &smithy.DeserializationError{Err: io.ErrUnexpectedEOF},
		}}}, false, true, false},
	} {
		e := faultOf("Sum", c.err)
		if e.again != c.again || e.MayHaveRun != c.mayRun || e.Final != c.isFinal || e.Retryable() == c.isFinal {
			t.Errorf("%s: again %v, may have run %v, final %v: %v", name, e.again, e.MayHaveRun, e.Final, e)
		}
		if e.Code != "" && (e.RetryAfter() != 7*time.Second || e.RequestID != "id") {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestBackoffDoublesUpToItsMost(t *testing.T) {
	t.Parallel()
	for try, most := range map[int]time.Duration{1: firstWait, 2: 2 * firstWait, 6: 32 * firstWait, 7: mostWait, 1000: mostWait} {
		for range 100 {
			if wait := backoff(try); wait < most/2 || wait >= most {
				t.Fatalf("try %d: %v, want between %v and %v", try, wait, most/2, most)
			}
		}
	}
}

func TestContextEndsTheWaitForALongThrottle(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		time.AfterFunc(50*time.Millisecond, func() { cancel(why) }) // the answer comes first, as a rule
	}))
	defer server.Close()
	c, err := New(Config{
		AWS:      aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", "")},
		Endpoint: server.URL, Patience: 2 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.task("Sum")(ctx, []byte("1")); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestInfoFromOthers(t *testing.T) {
	t.Parallel()
	for name, custom := range map[string]map[string]string{
		"nobody": nil, "somebody": {"x": "y"}, "no attempt": {KeyIdempotency: "k"}, "no key": {KeyAttempt: "1"},
	} {
		lc := &lambdacontext.LambdaContext{ClientContext: lambdacontext.ClientContext{Custom: custom}}
		if info, ok := InfoFrom(lambdacontext.NewContext(t.Context(), lc)); ok {
			t.Errorf("%s: %+v", name, info)
		}
	}
	if info, ok := InfoFrom(t.Context()); ok {
		t.Errorf("outside of Lambda: %+v", info)
	}
}

func TestClientContextIsASCII(t *testing.T) {
	t.Parallel()
	const text = `{"a":"é№🧾\u0001"}`
	plain := ascii([]byte(text))
	var before, after map[string]string
	if err := errors.Join(json.Unmarshal([]byte(text), &before), json.Unmarshal(plain, &after)); err != nil {
		t.Fatal(err)
	}
	if before["a"] != after["a"] || strings.ContainsFunc(string(plain), func(c rune) bool { return c >= 0x80 }) {
		t.Errorf("%s", plain)
	}
}
