package swf_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
)

// answerOf is an answer of a service that has done nothing.
func answerOf(r *http.Request, status int, kind, message string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"__type":"` + kind + `","message":"` + message + `"}`)),
	}
}

// TestAStartThatWasNeverTakenIsNotUnknown: a caller who reads that the outcome is unknown starts to search.
func TestAStartThatWasNeverTakenIsNotUnknown(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(lambdabiz.Context, int) (int, error) { return 0, nil })
	for name, c := range map[string]struct {
		kind    string
		status  int
		dial    bool
		creds   error
		unknown bool
	}{
		"wrong credentials":    {kind: "UnrecognizedClientException", status: 400},
		"expired credentials":  {kind: "ExpiredTokenException", status: 400},
		"no permission":        {kind: "AccessDeniedException", status: 403},
		"a fault of tomorrow":  {kind: "SomethingNewException", status: 422},
		"no code at all":       {status: 404},
		"nobody listens":       {dial: true},
		"no credentials":       {creds: errors.New("no credentials found")},
		"a fault of the house": {kind: "InternalFailure", status: 500, unknown: true},
		"a broken connection":  {unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				var broken atomic.Bool
				config := through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
					if name, _ := action(r); name != "StartWorkflowExecution" || !broken.Load() {
						return server.Transport().RoundTrip(r)
					}
					switch {
					case c.dial:
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
					case c.status == 0:
						return nil, io.ErrUnexpectedEOF
					default:
						return answerOf(r, c.status, c.kind, "no"), nil
					}
				}))
				good := config.AWS.Credentials
				config.AWS.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
					if c.creds != nil && broken.Load() {
						return aws.Credentials{}, c.creds
					}
					return good.Retrieve(ctx)
				})
				p := client(t, config)
				if err := p.Register(d); err != nil {
					t.Fatal(err)
				}
				start := func(id string) error {
					_, err := lambdabiz.Start(t.Context(), p.Engine, d, id, 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
					return err
				}
				if err := start("before"); err != nil {
					t.Fatal(err)
				}
				broken.Store(true)
				err := start("R")
				if err == nil || errors.Is(err, lambdabiz.ErrOutcomeUnknown) != c.unknown {
					t.Errorf("the start says %v", err)
				}
			})
		})
	}
}

// TestErrorsOfAWSDoNotQuotePayloads: its ValidationException does, and errors are logged and recorded.
func TestErrorsOfAWSDoNotQuotePayloads(t *testing.T) {
	t.Parallel()
	const secret = "the patient's diagnosis"
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		_, err := lambdabiz.CallTask[int](o, "t", "Lambda", secret)
		return 0, err
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		var log logbook.Book
		c := through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
			if name, body := action(r); name == "RespondDecisionTaskCompleted" && strings.Contains(body, secret) {
				return answerOf(r, 400, "ValidationException", "1 validation error detected: Value '"+secret+"' at "+
					"'decisions.1.member.scheduleLambdaFunctionDecisionAttributes.input' failed to satisfy constraint: "+
					"Member must have length less than or equal to 32768"), nil
			}
			return server.Transport().RoundTrip(r)
		}))
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b := openBackend(t, c)
		e, stop := work(t, b, lambdabiz.Config{Logger: c.Logger}, d)
		defer func() {
			stop()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if log.Has(secret) || !log.Has("Attributes.input' failed") {
				t.Error("the log quotes a payload, or says nothing")
			}
		}()
		if _, err := lambdabiz.Start(t.Context(), e, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		state, err := e.State(t.Context(), "R")
		if err != nil {
			t.Fatal(err)
		}
		if state.Blocked == nil {
			t.Fatalf("it is not blocked: %+v", state)
		}
		if r := state.Blocked.Reason; strings.Contains(r, secret) || !strings.Contains(r, "Attributes.input' failed") {
			t.Errorf("the reason is %q", r)
		}
	})
}

// TestAPollThatIsLostIsNotAskedAgainInSilence: it may have taken a task.
func TestAPollThatIsLostIsNotAskedAgainInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{PollWait: time.Second, Fault: func(c fakeswf.Call) fakeswf.Fault {
			return fakeswf.Fault{Lose: c.Action == "PollForDecisionTask" && c.Number == 1, Throttle: c.Number == 2}
		}})
		b := openBackend(t, through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
			if _, ok := r.Body.(io.WriterTo); ok {
				t.Errorf("the body of %s can end the connection under its answer", r.Header.Get("X-Amz-Target"))
			}
			return server.Transport().RoundTrip(r)
		})))
		worker, err := b.Join(t.Context(), lambdabiz.WorkerInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{Worker: worker, Limit: 1}); err == nil {
			t.Error("a lost poll is no error")
		}
		if n := server.Calls()["PollForDecisionTask"]; n != 1 {
			t.Errorf("SWF was polled %d times", n)
		}
		if _, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{Worker: worker, Limit: 1}); err != nil {
			t.Error("a throttled poll is not asked again:", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
