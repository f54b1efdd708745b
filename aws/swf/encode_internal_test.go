package swf

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

func TestIDsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"plain", "arn", "a:b", "a/b", "a|b", "50%", "%41", "%2F", "ü/ö", "\u0085", "tab\t", "arn:aws:lambda:x", "~1", "#", " ",
	} {
		encoded := encodeID(id)
		if strings.ContainsAny(encoded, ":/|") || encoded == "arn" {
			t.Errorf("%q becomes %q, which SWF refuses", id, encoded)
		}
		if got := decodeID(encoded); got != id {
			t.Errorf("%q becomes %q and comes back as %q", id, encoded, got)
		}
	}
	for _, foreign := range []string{"%zz", "%41", "100%", "a%2fb"} { // never made by encodeID
		if got := decodeID(foreign); got != foreign {
			t.Errorf("the foreign id %q becomes %q", foreign, got)
		}
	}
}

func TestNoIDBeginsOrEndsWithWhiteSpace(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		" ": "%20", " a b ": "%20a b%20", "  a": "%20 a", "a\u2003": "a%E2%80%83", "a\u3000b": "a\u3000b",
	} {
		if got := encodeID(id); got != want || decodeID(got) != id {
			t.Errorf("%q is %q, want %q, and comes back as %q", id, got, want, decodeID(got))
		}
	}
}

func TestIDsOfAttemptsDiffer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("/", 100)
	seen := map[string]string{}
	for _, path := range []string{"a", "a/b", "a%2Fb", "a~1", long, long + "x", strings.Repeat("x", 200), strings.Repeat("x", 201)} {
		for attempt := 1; attempt <= 2; attempt++ {
			id := attemptID(path, attempt)
			if other, taken := seen[id]; taken {
				t.Errorf("%q and %q are both %q", path, other, id)
			}
			seen[id] = path
			if n := units(id); n > maxName || strings.ContainsAny(id, ":/|") {
				t.Errorf("%q becomes %q", path, id)
			}
		}
	}
}

func TestSecondsAreRoundedUp(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0", 0: "0", 1: "1", time.Second: "1", time.Second + 1: "2", 1500 * time.Millisecond: "2", maxRun: "31536000",
	} {
		if got := *seconds(d); got != want || len(got) > 8 {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	payloads := [][]byte{nil, []byte("null"), []byte(`""`), []byte(`"<&>"`), []byte(`{"a": 1}`), []byte(`[1,2]`), []byte("\xff\xfe"),
		[]byte("1e400"), []byte("\"\u2028\""), []byte(`"\u2028"`), []byte("12345678901234567890")}
	for range 500 {
		p := make([]byte, random.IntN(20)+1)
		for i := range p {
			p[i] = byte(random.IntN(256))
		}
		payloads = append(payloads, p)
	}
	for _, p := range payloads {
		text, err := marshal(&signalEnvelope{Version: version, Data: payload(p)})
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		var back signalEnvelope
		if err := open(text, &back); err != nil || string(back.Data) != string(p) {
			t.Errorf("%q becomes %s and comes back as %q, %v", p, text, back.Data, err)
		}
	}
}

func TestForeignTextIsNoEnvelope(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "true", `"yes"`, `{"key":"x"}`, `{"lambdabiz":`, `{"lambdabiz":2}`, `{"lambdabiz":"1"}`, ` {"lambdabiz":1}`,
		`{"lambdabiz":1,"data":"!!!"}`,
	} {
		var s signalEnvelope
		if err := open(text, &s); !errors.Is(err, errForeign) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatIsTooLongDoesNotFit(t *testing.T) {
	t.Parallel()
	_, err := fit("input", &signalEnvelope{Data: payload(`"` + strings.Repeat("ü", maxChars) + `"`)})
	if !errors.Is(err, lambdabiz.ErrTooLarge) || !strings.Contains(err.Error(), "input") {
		t.Error(err)
	}
	if _, err := fit("input", &signalEnvelope{Data: payload(`"` + strings.Repeat("ü", maxPayload) + `"`)}); err != nil {
		t.Error("characters count, not bytes:", err)
	}
}

func TestLongJournalsAreSplitBetweenCharacters(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("aü€😀", 20_000)
	parts := split(text)
	if strings.Join(parts, "") != text || len(parts) < 2 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, part := range parts {
		if !utf8.ValidString(part) || len(part) > chunk {
			t.Errorf("part %d has %d bytes", i, len(part))
		}
	}
}

func TestFailuresAreShrunkUntilTheyFit(t *testing.T) {
	t.Parallel()
	deep := &lambdabiz.Failure{Message: strings.Repeat("é", 40_000)}
	for range 50 {
		deep = &lambdabiz.Failure{Message: strings.Repeat("x", 3000), Causes: []*lambdabiz.Failure{deep, {Message: "beside"}}}
	}
	for _, limit := range []int{500, 4000, maxPayload} {
		small := shrink(deep, limit)
		text, err := json.Marshal(small)
		if err != nil || len(text) > limit+200 {
			t.Errorf("with the limit %d it has %d bytes, %v", limit, len(text), err)
		}
	}
	if f := (&lambdabiz.Failure{Message: "short"}); shrink(f, 500) != f {
		t.Error("what fits was changed")
	}
}
