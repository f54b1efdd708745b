package lambdatask_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdatask"
	"github.com/lambdabiz/lambdabiz/memory"
)

// wire is a transport made of a function.
type wire func(r *http.Request) (*http.Response, error)

func (f wire) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTheBodyOfAnInvocationCannotEndItsConnection: an answer that is lost so is a function that ran.
func TestTheBodyOfAnInvocationCannotEndItsConnection(t *testing.T) {
	t.Parallel()
	sent := 0
	c, err := lambdatask.New(lambdatask.Config{Patience: -1, AWS: aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		HTTPClient: &http.Client{Transport: wire(func(r *http.Request) (*http.Response, error) {
			sent++
			if _, ok := r.Body.(io.WriterTo); ok {
				t.Error("the body of a request has WriteTo, which net/http takes for a failed write when the SDK has closed it")
			}
			return nil, errors.New("no network")
		})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.CallTask[int](o, "t", "Function", 1)
	})
	b := memory.New()
	e, err := lambdabiz.New(b, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(d, c.All()); err != nil {
		t.Fatal(err)
	}
	if err := e.RunWhile(t.Context(), func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, e, d, "R", 0)
		if err != nil {
			return err
		}
		_, err = run.Result(ctx)
		return err
	}); err == nil || sent == 0 {
		t.Error("nothing was sent, or it came back:", err, sent)
	}
}
