package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// envelopeStart begins everything that the backend writes.
const envelopeStart = `{"lambdabiz":`

// Version is the format of everything that the backend writes.
const Version = 1

// ErrForeign says that a text was not written by the backend.
var ErrForeign = errors.New("not an envelope of this backend")

// Open decodes an envelope. Foreign text is ErrForeign.
func Open(text string, v interface{ format() int }) error {
	if !strings.HasPrefix(text, envelopeStart) {
		return ErrForeign
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return errors.Join(ErrForeign, err)
	}
	if v.format() != Version {
		return fmt.Errorf("%w: its version is %d, this code knows %d", ErrForeign, v.format(), Version)
	}
	return nil
}

// Marshal writes JSON without escaping what only browsers mind.
func Marshal(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encode for Amazon SWF: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// Fit is marshal with the limit of a value.
func Fit(what string, v any) (string, error) {
	s, err := Marshal(v)
	if n := Units(s); err == nil && n > MaxChars {
		err = fmt.Errorf("%s: %w: %d characters with its envelope, the limit of Amazon SWF is %d",
			what, lambdabiz.ErrTooLarge, n, MaxChars)
	}
	return s, err
}

// IsPlain reports whether a result may stand as itself: it is text, and no reader takes it for an envelope.
func IsPlain(p []byte) bool { return utf8.Valid(p) && !bytes.HasPrefix(p, []byte(envelopeStart)) }
