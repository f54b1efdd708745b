package rest_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// What the limits of a client let through can be recorded, whatever is in it: a response that is
// refused after the call has been made is a call that nobody knows of.
func TestBodiesUpToTheLimitAreRecorded(t *testing.T) {
	t.Parallel()
	const limit = 1 << 16
	fill := func(of string) []byte { return bytes.Repeat([]byte(of), limit/len(of)+1)[:limit] }
	inJSON := func(of string) []byte {
		return append(append([]byte(`"`), bytes.Repeat([]byte(of), (limit-2)/len(of))...), '"')
	}
	bodies := map[string]struct {
		kind string
		data []byte
	}{
		"HTML in JSON":        {"application/json", inJSON(`<`)},
		"escaped HTML":        {"application/json", inJSON(`\u003c`)},
		"line separators":     {"application/json", inJSON("\u2028")},
		"a byte order mark":   {"application/json", append([]byte("\ufeff"), inJSON("&")[3:]...)},
		"HTML":                {"text/html", fill(`<a href="#">&amp;</a>`)},
		"quotes":              {"text/plain", fill(`"`)},
		"lines":               {"text/plain", fill("\r\n")},
		"control characters":  {"text/plain", fill("\x00\x01\x1b")},
		"no UTF-8":            {"image/png", fill("\xff\x00")},
		"JSON that is no one": {"application/json", fill(`{"`)},
	}
	bodies["a byte order mark"].data[3] = '"'
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b := bodies[strings.TrimPrefix(r.URL.Path, "/")]
		w.Header().Set("Content-Type", b.kind)
		w.Header().Set("X-Large", strings.Repeat(`"`, 4<<10))
		_, _ = w.Write(b.data)
	})
	client := newClient(t, rest.Config{MaxRequestBytes: limit, MaxResponseBytes: limit})
	engine := func(backend lambdabiz.Backend) *lambdabiz.Engine {
		e, err := lambdabiz.New(backend, lambdabiz.Config{MaxPayloadBytes: limit, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Register(client.Services()); err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, b := range bodies {
		backend := newMemory(t)
		for range 2 { // the second one gets it from the record
			o := create(t, engine(backend))
			resp, err := rest.Post[rest.Response](o, "call", host+"/"+name, rest.Raw(b.kind, b.data), rest.RecordHeader("X-Large"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			want := bytes.ReplaceAll(b.data, []byte(`\u003c`), []byte(`<`)) // the same value, as documented
			if !bytes.Equal(resp.Body, bytes.TrimPrefix(want, []byte("\ufeff"))) {
				t.Errorf("%s: got %d bytes that differ: %.40q", name, len(resp.Body), resp.Body)
			}
		}
	}
	o := create(t, engine(newMemory(t)))
	if err := lambdabiz.SetProgress(o, strings.Repeat("a", limit)); !errors.Is(err, lambdabiz.ErrTooLarge) {
		t.Errorf("more than the limit of what is no call: %v", err)
	}
}

// The defaults of a client and of an engine fit each other.
func TestBodiesUpToTheDefaultLimitAreRecorded(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte{0xff, '<'}, 1<<19)
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	o := create(t, newEngine(t, newMemory(t)))
	resp, err := rest.Post[rest.Response](o, "call", host, rest.Raw("image/png", body))
	if err != nil || !bytes.Equal(resp.Body, body) {
		t.Errorf("got %d bytes, %v", len(resp.Body), err)
	}
}

// A response is recorded as a person can read it, unless that takes more room.
func TestTextIsRecordedAsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"<a>&":                        `"text":"<a>&"`,
		strings.Repeat(`"`, 9):        `"text":"\"\"\"\"\"\"\"\"\""`,
		strings.Repeat("line\n", 9e3): `"text":"line\nline\n`,
		strings.Repeat("\"\n", 9e3):   `"base64":"IgoiCiIK`,
	} {
		recorded, err := lambdabiz.JSONCodec{}.Encode(rest.Response{Status: 200, Body: []byte(text)})
		if err != nil || !strings.Contains(string(recorded), want) {
			t.Errorf("%.9q: got %.200s (%v), want %s in it", text, recorded, err, want)
		}
		var back rest.Response
		if err := (lambdabiz.JSONCodec{}).Decode(recorded, &back); err != nil || string(back.Body) != text {
			t.Errorf("%.9q: got %.9q (%v)", text, back.Body, err)
		}
	}
}

func TestByteOrderMarkBeforeJSON(t *testing.T) {
	t.Parallel()
	kind := ""
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte("\xef\xbb\xbf{\"id\": 21}"))
	})
	for _, kind = range []string{"application/json", "text/plain", "application/json; charset=utf-8"} {
		o := create(t, newEngine(t, newMemory(t)))
		got, err := rest.Get[Employee](o, "employee", host)
		if err != nil || got.ID != 21 {
			t.Errorf("%s: got %+v, %v", kind, got, err)
		}
	}
}

// An idempotency key that no header can carry fails the call at once: another attempt has the same one.
func TestIdempotencyKeyThatIsNoHeaderIsNotRetried(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	host := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, key := range []string{"a\nb", "a\r\nX-Evil: 1", "\x00", "a\x7f", "a\vb"} {
		for _, method := range []string{"GET", "POST"} {
			o := create(t, newEngine(t, newMemory(t)))
			call := rest.Get[rest.Response]
			if method == "POST" {
				call = func(o lambdabiz.Context, id, url string, opts ...lambdabiz.CallOption) (rest.Response, error) {
					return rest.Post[rest.Response](o, id, url, "text", opts...)
				}
			}
			_, err := call(o, "call", host, quick, lambdabiz.IdempotencyKey(key))
			wantReason(t, err, rest.ReasonRequest)
			wantError(t, err, "Idempotency-Key", "control character")
			if n := operation(t, o, "call").Attempts; n != 1 || asked.Load() != 0 {
				t.Errorf("%q: %d attempts, the service was asked %d times", key, n, asked.Load())
			}
		}
	}
}
