package lambdabiz_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

// What is recorded is the value, without what only HTML would need; a backslash that a text has itself
// begins no escape.
func TestRecordsHaveNoEscapesForHTML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"<a href='x'>&</a>":     `"<a href='x'>&</a>"`,
		"\u2028 \u2029":         "\"\u2028 \u2029\"",
		`\u003c`:                `"\\u003c"`,
		`\<`:                    `"\\<"`,
		`\\<`:                   `"\\\\<"`,
		"\x00<\n\x1b\"":         `"\u0000<\n\u001b\""`,
		"\u00fc\U0001f600 < \\": "\"\u00fc\U0001f600 < \\\\\"",
		"\xff<":                 `"\ufffd<"`,
		"":                      `""`,
	} {
		for _, v := range []any{text, json.RawMessage(want)} {
			p, err := lambdabiz.JSONCodec{}.Encode(v)
			if err != nil || string(p) != want {
				t.Errorf("%q: got %s (%v), want %s", text, p, err, want)
			}
			var back string
			if err := (lambdabiz.JSONCodec{}).Decode(p, &back); err != nil || back != strings.ToValidUTF8(text, "\ufffd") {
				t.Errorf("%q: got %q back (%v)", text, back, err)
			}
		}
	}
	if p, err := (lambdabiz.JSONCodec{}).Encode(func() {}); err == nil {
		t.Errorf("a function was encoded as %s", p)
	}
}
