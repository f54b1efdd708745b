package swf_test

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

const role = "arn:aws:iam::123456789012:role/lambdabiz-invoker"

// newServer makes a fake of SWF that ends with the test.
func newServer(t *testing.T, c fakeswf.Config) *fakeswf.Server {
	t.Helper()
	c.ListLag = cmp.Or(c.ListLag, 2*time.Second)
	s := fakeswf.New(c)
	t.Cleanup(s.Close)
	return s
}

// configFor is a configuration that reaches the fake without a network.
func configFor(server *fakeswf.Server) swf.Config {
	return swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: server.Transport()},
		},
		LambdaRole: role, Logger: slog.New(slog.DiscardHandler),
	}
}

func openBackend(t *testing.T, c swf.Config) *swf.Backend {
	t.Helper()
	b, err := swf.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// work runs an engine until stop is called.
func work(t *testing.T, b lambdabiz.Backend, c lambdabiz.Config, items ...lambdabiz.Registrable) (*lambdabiz.Engine, func()) {
	t.Helper()
	e, err := lambdabiz.New(b, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(items...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
