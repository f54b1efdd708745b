package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

func TestStatusesThatAreRetried(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
	})
	client := newClient(t, rest.Config{})
	all := []int{408, 425, 429, 500, 502, 503, 504}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "POST+"} {
		want := all
		opt := rest.AcceptStatus()
		switch method {
		case "POST", "PATCH":
			want = []int{429, 503}
		case "POST+":
			method, opt = "POST", rest.Idempotent()
		}
		for _, status := range append([]int{304, 400, 401, 404, 409, 501, 505}, all...) {
			_, err := rest.Attempt(context.Background(), client, method, host+"/"+strconv.Itoa(status), nil, opt)
			e := failure(t, err, rest.ReasonStatus)
			if e.Status != status || e.Retryable() != slices.Contains(want, status) {
				t.Errorf("%s %d: got %d, retryable %v", method, status, e.Status, e.Retryable())
			}
		}
	}
}

func TestTransportErrorsThatAreRetried(t *testing.T) {
	t.Parallel()
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.Close()
	})
	client := newClient(t, rest.Config{})
	for _, test := range []struct {
		method, url string
		opt         lambdabiz.CallOption
		want        bool
	}{
		{"GET", cut, rest.AcceptStatus(), true},
		{"PUT", cut, rest.AcceptStatus(), true},
		{"POST", cut, rest.AcceptStatus(), false},
		{"POST", cut, rest.Idempotent(), true},
		{"GET", closedPort, rest.AcceptStatus(), true},
		{"POST", closedPort, rest.AcceptStatus(), true},
		{"PATCH", closedPort, rest.AcceptStatus(), true},
	} {
		_, err := rest.Attempt(context.Background(), client, test.method, test.url, nil, test.opt)
		if e := failure(t, err, rest.ReasonTransport); e.Retryable() != test.want {
			t.Errorf("%s: got retryable %v (%v)", test.method, e.Retryable(), e)
		}
	}
}

// net/http sends a request again by itself when a kept connection dies and the request has the header
// Idempotency-Key: a POST then arrived twice in one attempt.
func TestKeptConnectionThatDiesDoesNotRepeatPost(t *testing.T) {
	t.Parallel()
	var posts atomic.Int32
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.Close()
		}
	})
	client := newClient(t, rest.Config{})
	key := rest.Header("Idempotency-Key", "k")
	if _, err := rest.Attempt(context.Background(), client, "GET", host, nil, key); err != nil {
		t.Fatal(err)
	}
	_, err := rest.Attempt(context.Background(), client, "POST", host, nil, key)
	wantReason(t, err, rest.ReasonTransport)
	if n := posts.Load(); n != 1 {
		t.Errorf("the service got %d requests, want 1", n)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		header, date string
		want         time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"7", "", 7 * time.Second},
		{"7200", "", time.Hour},
		{"-5", "", 0},
		{"soon", "", 0},
		{"99999999999999999999", "", time.Hour},
		{"2147483648", "", time.Hour},
		{"9223372036854775808", "", time.Hour},
		{"3600.5", "", time.Hour},
		{"2.9", "", 3 * time.Second},
		{"0.001", "", time.Second},
		{"5.0", "", 5 * time.Second},
		{"5.", "", 5 * time.Second},
		{" 6 ", "", 6 * time.Second},
		{".5", "", 0},
		{"2.9s", "", 0},
		{"1e3", "", 0},
		{"0x10", "", 0},
		{date.Add(90 * time.Second).Format(http.TimeFormat), date.Format(http.TimeFormat), 90 * time.Second},
		{date.Add(-time.Minute).Format(http.TimeFormat), date.Format(http.TimeFormat), 0},
		{date.AddDate(9, 0, 0).Format(http.TimeFormat), date.Format(http.TimeFormat), time.Hour},
		{time.Now().Add(48 * time.Hour).UTC().Format(http.TimeFormat), "", time.Hour},
	} {
		h := http.Header{"Retry-After": {test.header}, "Date": {test.date}}
		if got := rest.RetryAfter(h, time.Hour); got != test.want {
			t.Errorf("%q: got %v, want %v", test.header, got, test.want)
		}
	}
}

func TestStatusErrorKeepsWhatTheServiceSaid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", rest.MaxErrorBody/2) + "é"
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.URL.Path == "/long" {
			_, _ = w.Write([]byte("x" + long))
			return
		}
		_, _ = w.Write([]byte("try later\x1b[31m"))
	})
	client := newClient(t, rest.Config{})
	_, err := rest.Attempt(context.Background(), client, "GET", host+"/employees", nil)
	e := failure(t, err, rest.ReasonStatus)
	want := `GET ` + host + `/employees: 503 Service Unavailable: "try later\x1b[31m"`
	if e.Error() != want || e.RetryAfter() != 3*time.Second || e.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %q, %v, %v", e.Error(), e.RetryAfter(), e.Header)
	}
	_, err = rest.Attempt(context.Background(), client, "GET", host+"/long", nil)
	if e := failure(t, err, rest.ReasonStatus); e.Body != "x"+long[:rest.MaxErrorBody-2] {
		t.Errorf("got %d bytes, ending in %q", len(e.Body), e.Body[len(e.Body)-5:])
	}
}

func TestErrorSurvivesItsRecord(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte("slow down"))
	})
	_, err := rest.Attempt(context.Background(), newClient(t, rest.Config{}), "GET", host, nil)
	e := failure(t, err, rest.ReasonStatus)
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var again rest.Error
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if again.Error() != e.Error() || again.Status != 429 || !again.Retryable() || again.RetryAfter() != 3*time.Second {
		t.Errorf("got %+v, want %+v", again, e)
	}
	for reason, target := range map[rest.Reason]error{
		rest.ReasonTimeout: context.DeadlineExceeded, rest.ReasonTooLarge: lambdabiz.ErrTooLarge,
		rest.ReasonRefused: rest.ErrRefused,
	} {
		if !errors.Is(&rest.Error{Reason: reason}, target) || errors.Is(&again, target) {
			t.Errorf("%s is not %v", reason, target)
		}
	}
}
