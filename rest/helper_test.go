package rest_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz/rest"
)

// serve starts a service on loopback that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func newClient(t *testing.T, config rest.Config) *rest.Client {
	t.Helper()
	client, err := rest.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// failure returns the *rest.Error in err and checks its reason.
func failure(t *testing.T, err error, reason rest.Reason) *rest.Error {
	t.Helper()
	var e *rest.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want a *rest.Error", err, err)
	}
	if e.Reason != reason {
		t.Fatalf("got reason %q (%v), want %q", e.Reason, e, reason)
	}
	return e
}

func wantReason(t *testing.T, err error, reason rest.Reason) {
	t.Helper()
	_ = failure(t, err, reason)
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func body(r *http.Request) string {
	text, _ := io.ReadAll(r.Body)
	return string(text)
}
