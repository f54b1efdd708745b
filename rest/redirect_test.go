package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// RFC 9110, section 15.4.
func TestMethodAfterRedirect(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			w.Header().Set("X-Method", r.Method)
			fmt.Fprint(w, r.Method, " ", r.Header.Get("Content-Type"), " ", body(r))
			return
		}
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Location", "end")
		w.WriteHeader(status)
	})
	client := newClient(t, rest.Config{})
	for _, test := range []struct {
		method string
		status int
		want   string
	}{
		{"GET", 301, "GET"}, {"HEAD", 303, "HEAD"}, {"PUT", 303, "GET"}, {"DELETE", 303, "GET"}, {"POST", 303, "GET"},
		{"POST", 301, "GET"}, {"POST", 302, "GET"}, {"PUT", 301, "PUT"}, {"PUT", 302, "PUT"}, {"PATCH", 302, "PATCH"},
		{"DELETE", 302, "DELETE"}, {"POST", 307, "POST"}, {"POST", 308, "POST"}, {"PUT", 307, "PUT"}, {"HEAD", 302, "HEAD"},
	} {
		var in any
		want := test.want + "  "
		if strings.HasPrefix(test.method, "P") {
			in = map[string]int{"a": 1}
			if test.want != "GET" {
				want = test.want + ` application/json {"a":1}`
			}
		}
		resp, err := rest.Attempt(context.Background(), client, test.method, fmt.Sprint(host, "/", test.status), in,
			rest.RecordHeader("X-Method"))
		if test.method == "HEAD" {
			want = ""
		}
		if err != nil || string(resp.Body) != want || resp.Header.Get("X-Method") != test.want {
			t.Errorf("%s %d: got %q (%v), want %q", test.method, test.status, resp.Body, err, want)
		}
	}
}

func TestRedirectLimit(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if n > 0 {
			http.Redirect(w, r, fmt.Sprint("/", n-1), http.StatusFound)
		}
	})
	client := newClient(t, rest.Config{})
	if _, err := rest.Attempt(context.Background(), client, "GET", host+"/3", nil); err != nil {
		t.Error(err)
	}
	asked.Store(0)
	_, err := rest.Attempt(context.Background(), client, "GET", host+"/9", nil)
	wantReason(t, err, rest.ReasonRefused)
	wantError(t, err, "more than 3 redirects")
	if n := asked.Load(); n != 4 {
		t.Errorf("the service was asked %d times, want 4", n)
	}
	none := newClient(t, rest.Config{MaxRedirects: -1})
	_, err = rest.Attempt(context.Background(), none, "GET", host+"/1", nil)
	if e := failure(t, err, rest.ReasonStatus); e.Status != 302 || e.Header.Get("Location") != "/0" {
		t.Errorf("got %+v", e)
	}
	resp, err := rest.Attempt(context.Background(), client, "GET", host+"/1", nil, rest.AcceptStatus(302))
	if err != nil || resp.Status != 302 {
		t.Errorf("got %d, %v", resp.Status, err)
	}
}

func TestRedirectToAnotherOriginDropsCredentials(t *testing.T) {
	t.Parallel()
	show := func(r *http.Request) string {
		return fmt.Sprint(r.Header["Authorization"], r.Header["Cookie"], r.Header["X-Mine"], r.Header["X-Secret"],
			r.Header["X-Plain"], r.Header["Referer"], r.URL.RawQuery)
	}
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, show(r)) })
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/other":
			http.Redirect(w, r, other, http.StatusFound)
		case "/same":
			http.Redirect(w, r, "/end", http.StatusFound)
		default:
			fmt.Fprint(w, show(r))
		}
	})
	client := newClient(t, rest.Config{Secrets: func(context.Context, string) (string, error) { return "s", nil }})
	opts := []lambdabiz.CallOption{
		rest.Header("Authorization", "Bearer a"), rest.Header("Cookie", "b=c"), rest.Header("X-Mine", "d"),
		rest.Header("X-Secret", rest.Secret("S")), rest.Header("X-Plain", "e"), rest.Query("token", "f"),
		rest.Redact("X-Mine"),
	}
	for path, want := range map[string]string{
		"/same":  "[Bearer a] [b=c] [d] [s] [e] []",
		"/other": "[] [] [] [] [e] []",
	} {
		resp, err := rest.Attempt(context.Background(), client, "GET", host+path, nil, opts...)
		if err != nil || string(resp.Body) != want {
			t.Errorf("%s: got %q (%v), want %q", path, resp.Body, err, want)
		}
	}
}

// A POST that was answered by "see there" has been acted on: what goes wrong there is no reason to
// send it again.
func TestPostIsNotRepeatedForWhatItsRedirectMet(t *testing.T) {
	t.Parallel()
	closed := closedPort
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/to-busy":
			http.Redirect(w, r, "/busy", http.StatusSeeOther)
		case "/to-closed":
			http.Redirect(w, r, closed, http.StatusSeeOther)
		case "/moved":
			http.Redirect(w, r, closed, http.StatusTemporaryRedirect)
		}
	})
	client := newClient(t, rest.Config{})
	for path, want := range map[string]bool{"/busy": true, "/to-busy": false, "/to-closed": false, "/moved": true} {
		_, err := rest.Attempt(context.Background(), client, "POST", host+path, nil)
		if e, ok := errors.AsType[*rest.Error](err); !ok || e.Retryable() != want {
			t.Errorf("%s: got %v, want retryable %v", path, err, want)
		}
	}
}
