package lambdabiz

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
)

// splitPath is the reverse of joinPath.
func splitPath(path string) []string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts
}

func FuzzPath(f *testing.F) {
	f.Add("a/b", "b", "~0")
	f.Add("~", "/", "~1")
	f.Add("a", "a/b", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if checkID("id", a) != nil || checkID("id", b) != nil || checkID("id", c) != nil {
			return
		}
		outer := joinPath("", a)
		inner := joinPath(outer, b)
		deep := joinPath(inner, c)
		if got := splitPath(deep); len(got) != 3 || got[0] != a || got[1] != b || got[2] != c {
			t.Errorf("%q, %q, %q became %q and came back as %q", a, b, c, deep, got)
		}
		if idempotencyKey(a, b, c) == idempotencyKey(a, c, b) && b != c {
			t.Errorf("one key for %q, %q and %q", a, b, c)
		}
	})
}

func FuzzFailure(f *testing.F) {
	f.Add([]byte(`{"message":"m","code":"task","data":{"task":"T","operationId":"o","attempt":1},` +
		`"causes":[{"message":"c","code":"closed"}]}`))
	f.Add([]byte(`{"message":"m","code":"orchestration","data":{"id":"x","status":"FAILED"},"causes":[null,{"message":""}]}`))
	f.Add([]byte(`{"message":"m","code":"eventTimeout","data":[1]}`))
	f.Add([]byte(`{"code":"nonRetryable"}`))
	f.Add([]byte(`{"type":"value","message":"x","data":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var failure Failure
		if json.Unmarshal(data, &failure) != nil {
			return
		}
		r := newRegistry(0)
		err := r.rebuild(&failure)
		if err == nil {
			t.Fatal("a failure became no error")
		}
		text := err.Error()
		recorded := r.record(err)
		if recorded == nil {
			t.Fatal("an error became no failure")
		}
		stored, fault := json.Marshal(recorded)
		if fault != nil {
			t.Fatalf("%q cannot be stored: %v", text, fault)
		}
		if len(stored) > 20*maxFailureBytes {
			t.Errorf("%d bytes are stored", len(stored))
		}
		var again Failure
		if err := json.Unmarshal(stored, &again); err != nil {
			t.Fatal(err)
		}
		if got := r.rebuild(&again).Error(); len(text) < maxMessageBytes && got != strings.ToValidUTF8(text, "\uFFFD") {
			t.Errorf("%q became %q", text, got)
		}
		retryable(err)
		retryWait(err)
	})
}

func FuzzPayload(f *testing.F) {
	for _, seed := range []string{"", "null", `"x"`, "{", "1e999", `{"a":[1,{"b":null}]}`, "\xff", `"\ud800"`, " 1 "} {
		f.Add([]byte(seed), "text")
	}
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		e := &Engine{env: env{payloads: newPayloads(JSONCodec{}, 1<<16, 0), log: slog.New(slog.DiscardHandler)}}
		if p, err := e.encode("input", Payload(raw)); err == nil {
			if !bytes.Equal(p, raw) {
				t.Errorf("%q became %q", raw, p)
			}
			var v json.RawMessage // a number may be too large for any type
			if err := e.decode("input", p, &v); err != nil {
				t.Errorf("%q was taken, and is %v", raw, err)
			}
		}
		var into struct {
			A []int
			B map[string]*time.Time
		}
		_ = e.decode("input", raw, &into) // an error, or not: no panic
		p, err := e.encode("text", text)
		if err != nil {
			return
		}
		var got string
		if err := e.decode("text", p, &got); err != nil || got != strings.ToValidUTF8(text, "\uFFFD") && len(got) == len(text) {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	})
}

func FuzzBackoff(f *testing.F) {
	f.Add(int64(0), int64(0), 0.0, 0.0, 1, 1)
	f.Add(int64(time.Second), int64(time.Hour), 2.0, 0.2, 3, 70)
	f.Add(int64(-1), int64(math.MaxInt64), math.Inf(1), math.NaN(), -1, math.MaxInt)
	f.Add(int64(1), int64(math.MaxInt64), math.NaN(), 5.0, -1, 2)
	f.Fuzz(func(t *testing.T, initial, most int64, factor, jitter float64, attempts, attempt int) {
		if attempt < 1 {
			return
		}
		b := Backoff{Attempts: attempts, Initial: time.Duration(initial), Max: time.Duration(most), Factor: factor, Jitter: jitter}
		limit := b.Max
		if limit <= 0 {
			limit = time.Minute
		}
		wait, again := b.again(attempt, ErrClosed)
		if wait < 0 || wait > limit {
			t.Errorf("%+v waits %v after attempt %d", b, wait, attempt)
		}
		if want := attempts < 0 || attempt < max(attempts, 1); again != want {
			t.Errorf("%+v goes on %t after attempt %d", b, again, attempt)
		}
	})
}
