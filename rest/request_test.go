package rest_test

import (
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

func TestRequestIsRecordedWhole(t *testing.T) {
	t.Parallel()
	got, err := rest.Build("POST", "https://hr.example/employees?sort=a%20b&flag#top", map[string]int{"salary": 3},
		rest.Query("page", "2 3"), rest.QueryValues(url.Values{"b": {"1", "2"}, "a": {"0"}}),
		rest.Header("X-Team", "red"), rest.Header("Authorization", rest.Secret("HR").WithPrefix("Bearer ")),
		rest.AcceptStatus(404), rest.RecordHeader("X-Total-Count"), rest.Idempotent(),
		lambdabiz.Timeout(1500*time.Microsecond))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"method":"POST","url":"https://hr.example/employees?sort=a%20b\u0026flag",` +
		`"query":[{"name":"page","value":"2 3"},{"name":"a","value":"0"},{"name":"b","value":"1"},` +
		`{"name":"b","value":"2"}],"header":[{"name":"X-Team","value":"red"},` +
		`{"name":"Authorization","secret":"HR","prefix":"Bearer "},` +
		`{"name":"Content-Type","value":"application/json"}],"body":{"salary":3},"accept":[404],` +
		`"record":["X-Total-Count"],"idempotent":true,"timeoutMillis":2}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRequestSurvivesItsRecord(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]any{
		"none":   nil,
		"json":   json.RawMessage(` {"a" : "<b>"} `),
		"text":   rest.Raw("text/plain", []byte("<hello>\x00")),
		"binary": rest.Raw("image/png", []byte{0xff, 0xd8, 0x00}),
		"form":   url.Values{"a": {"1", "2"}},
		"custom": rest.Raw("application/problem+json", []byte("{broken")),
	} {
		first, err := rest.Build("PUT", "http://a.example", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var r rest.Request
		if err := json.Unmarshal([]byte(first), &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if raw, ok := body.(rest.RawBody); ok && string(r.Body) != string(raw.Bytes()) {
			t.Errorf("%s: got body %q", name, r.Body)
		}
		again, err := json.Marshal(r)
		if err != nil || string(again) != first {
			t.Errorf("%s: got %s (%v), want %s", name, again, err, first)
		}
	}
}

func TestBadRequestNamesTheField(t *testing.T) {
	t.Parallel()
	header := rest.Header[string]
	for _, test := range []struct {
		url  string
		body any
		opt  lambdabiz.CallOption
		want string
	}{
		{url: "", want: "check url"},
		{url: "employees/21", want: "check url: the scheme"},
		{url: "file:///etc/passwd", want: `check url: the scheme is "file"`},
		{url: "gopher://a.example", want: "http or https"},
		{url: "http://", want: "check url: it has no host"},
		{url: "http:a.example", want: "check url: it has no host"},
		{url: "http://a.example/%zz", want: "check url: it is not a valid URL"},
		{url: "http://a.example/?a=%zz", want: "check url: its query"},
		{url: "http://u:p@a.example", opt: header("authorization", "x"), want: "Authorization is set too"},
		{body: func() {}, want: "encode body"},
		{body: math.NaN(), want: "encode body"},
		{body: []byte("{}"), want: "rest.Raw"},
		{body: strings.NewReader("{}"), want: "rest.Raw"},
		{opt: header("", "x"), want: "check header"},
		{opt: header("A B", "x"), want: `check header "A B"`},
		{opt: header("X-A", "x\r\nHost: evil"), want: "check header X-A: the value has the control character"},
		{opt: header("host", "evil"), want: "check header Host: it cannot be set"},
		{opt: header("TRANSFER-ENCODING", "chunked"), want: "check header Transfer-Encoding"},
		{opt: rest.Header("X-A", rest.Secret("")), want: "check X-A: the secret has no name"},
		{opt: rest.Query("a", rest.Secret("")), want: "check a: the secret has no name"},
		{opt: header("X-A", "\xff"), want: `check "X-A": the name or the value is not UTF-8`},
		{opt: rest.Query("a", "\xff"), want: `check "a": the name or the value is not UTF-8`},
		{url: "http://a.example/?a=\xff", want: "check url: it is not UTF-8"},
		{opt: rest.AcceptStatus(20), want: "check accepted status: 20"},
		{opt: rest.RecordHeader("Set-Cookie"), want: "check recorded header Set-Cookie"},
		{opt: rest.RecordHeader("a b"), want: "check recorded header"},
		{opt: lambdabiz.Timeout(-time.Second), want: "check timeout"},
	} {
		if test.url == "" && test.want != "check url" {
			test.url = "http://a.example"
		}
		if test.opt == nil {
			test.opt = rest.AcceptStatus()
		}
		_, err := rest.Build("POST", test.url, test.body, test.opt)
		wantError(t, err, test.want)
	}
}

func TestBadURLShowsNoPassword(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"http://user:can ary@a.example", "http://user:canary/@a.example", "http://canary:%zz@a.example",
		"http://a.example:canary", "://canary", "http://[canary", "http://a.example/?token=canary%zz",
		"ftp://canary@a.example",
	} {
		_, err := rest.Build("GET", target, nil)
		if err == nil {
			t.Errorf("%s: got no error", target)
		} else if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "ary@") {
			t.Errorf("%s: got %q", target, err)
		}
	}
}

func FuzzRequestRecord(f *testing.F) {
	f.Add("http://user:pass@a.example/p?token=x&a=1#f", "X-Api-Key", "v", "body")
	f.Add("https://a.example?a&&b=%20", "A", "", "")
	f.Fuzz(func(t *testing.T, target, name, value, data string) {
		first, err := rest.Build("POST", target, rest.Raw("text/plain", []byte(data)), rest.Header(name, value))
		if err != nil {
			return
		}
		var r rest.Request
		if err := json.Unmarshal([]byte(first), &r); err != nil {
			t.Fatal(err)
		}
		if string(r.Body) != data {
			t.Errorf("got body %q, want %q", r.Body, data)
		}
		if again, err := json.Marshal(r); err != nil || string(again) != first {
			t.Errorf("got %s (%v), want %s", again, err, first)
		}
	})
}
