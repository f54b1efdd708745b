package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

func TestEveryMethodSendsItsRequest(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"),
			r.Header.Get("Accept"), r.UserAgent(), body(r))
	})
	client := newClient(t, rest.Config{UserAgent: "test/1"})
	for method, want := range map[string]string{
		"GET":    `GET /e?a=b%20c&d=%26  application/json test/1 `,
		"HEAD":   ``,
		"DELETE": `DELETE /e?a=b%20c&d=%26  application/json test/1 `,
		"POST":   `POST /e?a=b%20c&d=%26 application/json application/json test/1 {"salary":3}`,
		"PUT":    `PUT /e?a=b%20c&d=%26 application/json application/json test/1 {"salary":3}`,
		"PATCH":  `PATCH /e?a=b%20c&d=%26 application/json application/json test/1 {"salary":3}`,
	} {
		var in any
		if strings.HasPrefix(method, "P") {
			in = map[string]int{"salary": 3}
		}
		resp, err := rest.Attempt(context.Background(), client, method, host+"/e?a=b%20c", in, rest.Query("d", "&"))
		if err != nil || resp.Status != 200 || string(resp.Body) != want {
			t.Errorf("%s: got %d %q (%v), want %q", method, resp.Status, resp.Body, err, want)
		}
	}
}

func TestCallerReplacesDefaultHeaders(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header["Accept"], r.Header["User-Agent"], r.Header["Content-Type"],
			r.Header["Idempotency-Key"], r.Header["X-Two"])
	})
	resp, err := rest.Attempt(context.Background(), newClient(t, rest.Config{}), "POST", host, map[string]int{},
		rest.Header("accept", "text/plain"), rest.Header("user-agent", "me"),
		rest.Header("content-type", "application/merge-patch+json"), rest.Header("idempotency-key", "mine"),
		rest.Header("x-two", "1"), rest.Header("X-Two", "2"))
	want := "[text/plain] [me] [application/merge-patch+json] [mine] [1 2]"
	if err != nil || string(resp.Body) != want {
		t.Errorf("got %q (%v), want %q", resp.Body, err, want)
	}
}

func TestResponseHeadersThatAreRecorded(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Set-Cookie", "Etag", "X-Total-Count", "X-Internal", "Www-Authenticate"} {
			w.Header().Set(name, "v")
		}
	})
	client := newClient(t, rest.Config{})
	resp, err := rest.Attempt(context.Background(), client, "GET", host, nil, rest.RecordHeader("x-total-count"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Date")
	if got := fmt.Sprint(resp.Header); got != "map[Etag:[v] X-Total-Count:[v]]" {
		t.Errorf("got %s", got)
	}
}

func TestRequestOverTheLimit(t *testing.T) {
	t.Parallel()
	client := newClient(t, rest.Config{MaxRequestBytes: 10})
	for _, in := range []any{strings.Repeat("a", 9), url.Values{"a": {"123456789"}}} {
		_, err := rest.Attempt(context.Background(), client, "POST", "http://127.0.0.1:1", in)
		e := failure(t, err, rest.ReasonTooLarge)
		if e.Retryable() || !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
		wantError(t, err, "the request has 11 bytes, the limit is 10")
	}
}

func TestResponseOverTheLimit(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	_, _ = io.CopyN(w, zeros{}, 8<<20)
	_ = w.Close()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		case "/exact":
			_, _ = w.Write(make([]byte, 1000))
		}
	})
	client := newClient(t, rest.Config{MaxResponseBytes: 1000})
	for _, path := range []string{"/bomb", "/endless"} {
		_, err := rest.Attempt(context.Background(), client, "GET", host+path, nil)
		e := failure(t, err, rest.ReasonTooLarge)
		if e.Retryable() || !errors.Is(err, lambdabiz.ErrTooLarge) || e.Status != 200 {
			t.Errorf("%s: got %+v", path, e)
		}
	}
	resp, err := rest.Attempt(context.Background(), client, "GET", host+"/exact", nil)
	if err != nil || len(resp.Body) != 1000 {
		t.Errorf("got %d bytes, %v", len(resp.Body), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	for _, test := range []struct {
		method, path string
		config       rest.Config
		opt          lambdabiz.CallOption
		retry        bool
	}{
		{"GET", "/", rest.Config{Timeout: time.Millisecond}, rest.AcceptStatus(), true},
		{"GET", "/body", rest.Config{Timeout: 50 * time.Millisecond}, rest.AcceptStatus(), true},
		{"GET", "/", rest.Config{}, lambdabiz.Timeout(time.Millisecond), true},
		{"POST", "/", rest.Config{Timeout: 2 * time.Second}, rest.AcceptStatus(), false}, // it must have been sent by then
		{"POST", "/", rest.Config{Timeout: 50 * time.Millisecond}, rest.Idempotent(), true},
	} {
		client := newClient(t, test.config)
		_, err := rest.Attempt(context.Background(), client, test.method, host+test.path, nil, test.opt)
		e := failure(t, err, rest.ReasonTimeout)
		if e.Retryable() != test.retry || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s %s: got %v, retryable %v", test.method, test.path, e, e.Retryable())
		}
	}
}

func TestCancelledCallReturnsTheCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("the run was cancelled")
	ctx, cancel := context.WithCancelCause(context.Background())
	host := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(cause)
		<-r.Context().Done()
	})
	_, err := rest.Attempt(ctx, newClient(t, rest.Config{}), "GET", host, nil)
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestOwnCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := newClient(t, rest.Config{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	_, err := rest.Attempt(context.Background(), client, "GET", server.URL, nil)
	wantReason(t, err, rest.ReasonRefused)
	wantError(t, err, "redirect from https to http")
}

func TestBadConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]rest.Config{
		"Config.Timeout":          {Timeout: -1},
		"Config.MaxRequestBytes":  {MaxRequestBytes: -1},
		"Config.MaxResponseBytes": {MaxResponseBytes: -1},
		"Config.MaxRetryAfter":    {MaxRetryAfter: -1},
		"Config.UserAgent":        {UserAgent: "a\nb"},
	} {
		_, err := rest.NewClient(config)
		wantError(t, err, want)
	}
}

func TestRecordedRequestIsCheckedAgain(t *testing.T) {
	t.Parallel()
	client := newClient(t, rest.Config{})
	for _, recorded := range []string{
		`{"method":"CONNECT","url":"http://127.0.0.1:1"}`, `{"method":"GET","url":"file:///etc/passwd"}`,
		`{"method":"GET","url":"http://127.0.0.1:1","header":[{"name":"Host","value":"evil"}]}`,
		`{"method":"GET","url":"http://127.0.0.1:1","header":[{"name":"X","value":"a\nb"}]}`,
	} {
		_, err := rest.Perform(context.Background(), client, []byte(recorded))
		wantError(t, err, "check ")
	}
}

// closedPort is an address where nobody listens: no port that others are given.
const closedPort = "http://127.0.0.1:1"
