package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

func TestForeignTextIsNoEnvelope(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "true", `"yes"`, `{"key":"x"}`, `{"lambdabiz":`, `{"lambdabiz":2}`, `{"lambdabiz":"1"}`, ` {"lambdabiz":1}`,
		`{"lambdabiz":1,"data":"!!!"}`,
	} {
		var s Signal
		if err := Open(text, &s); !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatIsTooLongDoesNotFit(t *testing.T) {
	t.Parallel()
	_, err := Fit("input", &Signal{Data: Payload(`"` + strings.Repeat("ü", MaxChars) + `"`)})
	if !errors.Is(err, lambdabiz.ErrTooLarge) || !strings.Contains(err.Error(), "input") {
		t.Error(err)
	}
	if _, err := Fit("input", &Signal{Data: Payload(`"` + strings.Repeat("ü", MaxPayload) + `"`)}); err != nil {
		t.Error("characters count, not bytes:", err)
	}
}
