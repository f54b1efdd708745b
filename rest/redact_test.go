package rest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

const canary = "canary-7f3a"

func TestNamesOfCredentials(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "api_key",
		"X-Functions-Key", "Ocp-Apim-Subscription-Key", "X-Auth-Token", "X-Auth-Key", "PRIVATE-TOKEN", "token",
		"accessToken", "access_token", "key", "code", "sig", "signature", "X-Amz-Signature", "X-Amz-Credential",
		"X-Amz-Security-Token", "client_secret", "password", "code_verifier", "DD-APPLICATION-KEY", "user[password]",
		"client_assertion", "device_code", "auth_code", "otp", "totp", "pin", "sid", "SAMLResponse", "connection_string",
		"cvv", "cvc", "card[cvc]", "X-OTP", "otp_code", "userPin", "user_pin", "PHPSESSID", "connect.sid", "pwd", "user.pwd",
		"connectionString", "securityCode", "verification-code", "mfa_code",
	} {
		if !rest.IsCredential(name) {
			t.Errorf("%s is a credential", name)
		}
	}
	for _, name := range []string{
		"Idempotency-Key", "Content-Type", "X-Country-Code", "page", "pageToken", "next_token", "sort_key", "design",
		"X-Request-Id", "author", "encode", "shopping", "spin", "pinned", "accountSid", "side", "options", "distance", "postcode",
		"status_code", "zip_code",
	} {
		if rest.IsCredential(name) {
			t.Errorf("%s is no credential", name)
		}
	}
}

func TestCredentialsAreSentAndNotRecorded(t *testing.T) {
	t.Parallel()
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + canary))
	for name, test := range map[string]struct {
		target string // after http://
		body   any
		opt    lambdabiz.CallOption
		sent   func(r *http.Request) bool
	}{
		"Authorization": {opt: rest.Header("Authorization", "Bearer "+canary), sent: func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "Bearer "+canary
		}},
		"Cookie": {opt: rest.Header("cookie", "a="+canary), sent: func(r *http.Request) bool {
			return r.Header.Get("Cookie") == "a="+canary
		}},
		"named by the caller": {opt: rest.Header("X-Mine", canary), sent: func(r *http.Request) bool {
			return r.Header.Get("X-Mine") == canary
		}},
		"query option": {opt: rest.Query("code", canary), sent: func(r *http.Request) bool {
			return r.URL.Query().Get("code") == canary
		}},
		"query of the URL": {target: "?a=1&token=" + canary + "&b=2&token=second", sent: func(r *http.Request) bool {
			q := r.URL.Query()
			return q.Get("a") == "1" && q.Get("b") == "2" && strings.Join(q["token"], " ") == canary+" second"
		}},
		"user of the URL": {target: "user:" + canary + "@", sent: func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "Basic "+basic
		}},
		"form": {body: url.Values{"grant": {"a b"}, "client_secret": {canary}}, sent: func(r *http.Request) bool {
			return r.FormValue("client_secret") == canary && r.FormValue("grant") == "a b"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok := false
			host := serve(t, func(w http.ResponseWriter, r *http.Request) {
				ok = test.sent(r)
				w.Header().Set("Set-Cookie", canary)
				w.Header().Set("Location", "/next?token="+canary+"&a=1#token="+canary)
				w.Header().Set("X-Request-ID", canary)
				w.WriteHeader(http.StatusTeapot)
				_ = r.Header.Write(w)
				fmt.Fprint(w, canary, r.URL)
			})
			target := "http://" + test.target + strings.TrimPrefix(host, "http://")
			if strings.HasPrefix(test.target, "?") {
				target = host + "/" + test.target
			}
			opts := []lambdabiz.CallOption{rest.Redact("x-MINE")}
			if test.opt != nil {
				opts = append(opts, test.opt)
			}
			recorded, err := rest.Build("POST", target, test.body, opts...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = rest.Attempt(context.Background(), newClient(t, rest.Config{}), "POST", target, test.body, opts...)
			e := failure(t, err, rest.ReasonStatus)
			data, _ := e.MarshalJSON()
			if !ok {
				t.Error("the service did not get the credential")
			}
			for _, secret := range []string{canary, url.QueryEscape(canary), basic} {
				if strings.Contains(recorded+string(data)+e.Error(), secret) {
					t.Errorf("%s is in the record: %s %s", secret, recorded, data)
				}
			}
			if e.Header.Get("Location") != "/next?token=REDACTED&a=1" {
				t.Errorf("got Location %q", e.Header.Get("Location"))
			}
			_, err = rest.Perform(context.Background(), newClient(t, rest.Config{}), []byte(recorded))
			wantError(t, err, "it is redacted in the record")
		})
	}
}

// A service's next page often stands in a header, with the token that it was asked with.
func TestCredentialsInHeadersOfTheResponse(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		`<https://a.example/x?page=2&access_token=canary>; rel="next", <https://b.example/?sig=canary#a>; rel="last"`://
		`<https://a.example/x?page=2&access_token=REDACTED>; rel="next", <https://b.example/?sig=REDACTED#a>; rel="last"`,
		`<//user:canary@a.example/>; rel="next"`:               `<//REDACTED@a.example/>; rel="next"`,
		`0; url=https://a.example/#access_token=canary`:        `0; url=https://a.example/#access_token=REDACTED`,
		`https://a.example/?next=%2Fb%3Ftoken%3Dcanary&page=1`: `https://a.example/?next=REDACTED&page=1`,
		`Digest realm="a", password="canary canary", page="1"`: `Digest realm="a", password=REDACTED, page="1"`,
		`otp=canary`:                             `otp=REDACTED`,
		`text/plain; charset=utf-8; q="a b"`:     `text/plain; charset=utf-8; q="a b"`,
		`<https://a.example/x?page=2>; rel=next`: `<https://a.example/x?page=2>; rel=next`,
	} {
		host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for _, name := range []string{"Link", "Refresh", "X-Next", "Content-Language"} {
				w.Header().Set(name, sent)
			}
		})
		resp, err := rest.Attempt(t.Context(), newClient(t, rest.Config{}), "GET", host, nil,
			rest.RecordHeader("Link", "Refresh", "X-Next"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Link", "Refresh", "X-Next", "Content-Language"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
}

func TestTransportErrorShowsNoCredentials(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, _ := w.(http.Hijacker).Hijack()
		_, _ = buffer.WriteString("nonsense " + canary + "\r\n\r\n")
		_ = buffer.Flush()
		_ = conn.Close()
	})
	_, err := rest.Attempt(context.Background(), newClient(t, rest.Config{}), "GET", server+"?key="+canary, nil,
		rest.Header("Authorization", "Bearer "+canary))
	e := failure(t, err, rest.ReasonTransport)
	if data, _ := e.MarshalJSON(); strings.Contains(string(data)+e.Error(), canary) {
		t.Errorf("got %s, %v", data, e)
	}
}

func TestSecretIsResolvedForEveryAttempt(t *testing.T) {
	t.Parallel()
	var got []string
	host := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization")+" "+r.URL.Query().Get("key"))
	})
	times := 0
	client := newClient(t, rest.Config{Secrets: func(_ context.Context, name string) (string, error) {
		times++
		return fmt.Sprint(canary, name, (times+1)/2), nil
	}})
	recorded, err := rest.Build("GET", host, nil,
		rest.Header("Authorization", rest.Secret("A").WithPrefix("Bearer ")), rest.Query("key", rest.Secret("K")))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := rest.Perform(context.Background(), client, []byte(recorded)); err != nil {
			t.Fatal(err)
		}
	}
	want := "[Bearer " + canary + "A1 " + canary + "K1 Bearer " + canary + "A2 " + canary + "K2]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSecretThatCannotBeResolved(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		secrets func(context.Context, string) (string, error)
		want    string
		retry   bool
	}{
		{nil, "no Config.Secrets", false},
		{func(context.Context, string) (string, error) { return "", context.Canceled }, `secret "S"`, true},
		{func(context.Context, string) (string, error) {
			return "", lambdabiz.NonRetryable(context.Canceled)
		}, `secret "S"`, false},
		{func(context.Context, string) (string, error) { return canary + "\n", nil }, "control character", false},
	} {
		client := newClient(t, rest.Config{Secrets: test.secrets})
		_, err := rest.Attempt(context.Background(), client, "GET", "http://127.0.0.1:1", nil,
			rest.Header("Authorization", rest.Secret("S")))
		wantError(t, err, test.want)
		if e := failure(t, err, rest.ReasonRequest); e.Retryable() != test.retry {
			t.Errorf("%v: got retryable %v", e, e.Retryable())
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("got %q", err)
		}
	}
}
