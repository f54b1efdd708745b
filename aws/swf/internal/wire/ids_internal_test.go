package wire

import (
	"strings"
	"testing"
)

func TestIDsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"plain", "arn", "a:b", "a/b", "a|b", "50%", "%41", "%2F", "ü/ö", "\u0085", "tab\t", "arn:aws:lambda:x", "~1", "#", " ",
	} {
		encoded := EncodeID(id)
		if strings.ContainsAny(encoded, ":/|") || encoded == "arn" {
			t.Errorf("%q becomes %q, which SWF refuses", id, encoded)
		}
		if got := DecodeID(encoded); got != id {
			t.Errorf("%q becomes %q and comes back as %q", id, encoded, got)
		}
	}
	for _, foreign := range []string{"%zz", "%41", "100%", "a%2fb"} { // never made by EncodeID
		if got := DecodeID(foreign); got != foreign {
			t.Errorf("the foreign id %q becomes %q", foreign, got)
		}
	}
}

func TestNoIDBeginsOrEndsWithWhiteSpace(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		" ": "%20", " a b ": "%20a b%20", "  a": "%20 a", "a\u2003": "a%E2%80%83", "a\u3000b": "a\u3000b",
	} {
		if got := EncodeID(id); got != want || DecodeID(got) != id {
			t.Errorf("%q is %q, want %q, and comes back as %q", id, got, want, DecodeID(got))
		}
	}
}

func TestIDsOfAttemptsDiffer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("/", 100)
	seen := map[string]string{}
	for _, path := range []string{"a", "a/b", "a%2Fb", "a~1", long, long + "x", strings.Repeat("x", 200), strings.Repeat("x", 201)} {
		for attempt := 1; attempt <= 2; attempt++ {
			id := AttemptID(path, attempt)
			if other, taken := seen[id]; taken {
				t.Errorf("%q and %q are both %q", path, other, id)
			}
			seen[id] = path
			if n := Units(id); n > MaxName || strings.ContainsAny(id, ":/|") {
				t.Errorf("%q becomes %q", path, id)
			}
		}
	}
}
