package awscall

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Client returns an HTTP client for the SDK that sends through c.
//
// The SDK (smithy-go 1.28) closes a request's body as soon as the headers of its answer are there. The body's
// WriteTo then returns io.EOF to net/http, which may still look whether there is more to send: it takes that for a
// failed write and closes the connection under the answer. Read says the same without harm, so WriteTo is hidden.
func Client(c aws.HTTPClient) aws.HTTPClient {
	if _, done := c.(client); done {
		return c
	}
	return client{c}
}

type client struct{ next aws.HTTPClient }

// Do sends a request; see [Watch].
func (c client) Do(r *http.Request) (*http.Response, error) {
	if _, ok := r.Body.(io.WriterTo); ok {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	answer, err := c.next.Do(r)
	if w, ok := r.Context().Value(watchKey{}).(*Watched); ok {
		w.note(answer, err)
	}
	return answer, err //nolint:wrapcheck // the SDK judges it
}

type watchKey struct{}

// Watched is what is known of the requests of a call.
type Watched struct{ open atomic.Bool }

// Watch returns a context whose calls are watched.
func Watch(ctx context.Context) (context.Context, *Watched) {
	w := &Watched{}
	return context.WithValue(ctx, watchKey{}, w), w
}

// Open reports whether one of the call's requests may have been received without an answer that says what became
// of it: a connection that broke, or an error of the service's own. A request that was never sent (there are no
// credentials, nobody listens) and one that was refused (4xx) do not count.
func (w *Watched) Open() bool { return w.open.Load() }

func (w *Watched) note(answer *http.Response, err error) {
	var op *net.OpError
	switch {
	case err != nil && errors.As(err, &op) && op.Op == "dial":
	case err != nil, answer.StatusCode >= http.StatusInternalServerError:
		w.open.Store(true)
	}
}
