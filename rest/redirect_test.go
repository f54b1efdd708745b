package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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

// Dropping headers is not enough where a redirect keeps the body.
func TestRedirectToAnotherOriginIsRefusedWithCredentialsInTheBody(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to, status, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if status == "" {
			return
		}
		target := other
		if to == "same" {
			target = "/end"
		}
		w.Header().Set("Location", target)
		code, _ := strconv.Atoi(status)
		w.WriteHeader(code)
	})
	client := newClient(t, rest.Config{Secrets: func(context.Context, string) (string, error) { return "hunter22", nil }})
	secret := rest.Header("X-App", rest.Secret("S"))
	multipart := "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nx\r\n--b--\r\n"
	for name, test := range map[string]struct {
		body any
		opts []lambdabiz.CallOption
	}{
		"a form's credential":         {body: url.Values{"client_secret": {"x"}, "a": {"b"}}},
		"one named by the caller":     {body: url.Values{"mine": {"x"}}, opts: []lambdabiz.CallOption{rest.Redact("mine")}},
		"one in a form of one's own":  {body: rest.Raw("application/x-www-form-urlencoded", []byte("a=b&pass%77ord=x"))},
		"a field of JSON":             {body: map[string]any{"login": []any{map[string]any{"password": "x"}}}},
		"a field of other JSON":       {body: rest.Raw("application/vnd.a+json", []byte(`{"apiKey": "x"}`))},
		"a part of several":           {body: rest.Raw("multipart/form-data; boundary=b", []byte(multipart))},
		"the value of a secret":       {body: rest.Raw("text/plain", []byte("it is hunter22")), opts: []lambdabiz.CallOption{secret}},
		"the value of another secret": {body: "hunter22", opts: []lambdabiz.CallOption{secret}},
	} {
		for _, method := range []string{"POST", "PUT", "PATCH"} {
			for _, status := range []int{301, 302, 307, 308} {
				reached.Store(0)
				_, err := rest.Attempt(t.Context(), client, method, fmt.Sprint(host, "/other/", status), test.body, test.opts...)
				if method == "POST" && status < 303 { // the body does not go there
					if err != nil || reached.Load() != 1 {
						t.Errorf("%s: %s %d: reached %d times (%v)", name, method, status, reached.Load(), err)
					}
					continue
				}
				e := failure(t, err, rest.ReasonRefused)
				if reached.Load() != 0 || e.Retryable() || !errors.Is(err, rest.ErrRefused) {
					t.Errorf("%s: %s %d: reached %d times, %v", name, method, status, reached.Load(), err)
				}
				if _, err := rest.Attempt(t.Context(), client, method, fmt.Sprint(host, "/same/", status), test.body,
					test.opts...); err != nil {
					t.Errorf("%s: %s %d to the same origin: %v", name, method, status, err)
				}
			}
		}
	}
	for _, body := range []any{url.Values{"a": {"b"}}, map[string]any{"token": nil, "a": []string{"b"}}, "text", nil} {
		if _, err := rest.Attempt(t.Context(), client, "POST", host+"/other/307", body, secret); err != nil {
			t.Errorf("%v: %v", body, err)
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
