package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// Payload is a lambdabiz.Payload inside an envelope: what is compact JSON stands as itself in an
// array, so that a person can read it; anything else is base64.
type Payload lambdabiz.Payload

// MarshalJSON implements json.Marshaler.
func (p Payload) MarshalJSON() ([]byte, error) {
	switch {
	case p == nil:
		return []byte("null"), nil
	case isCompact(p):
		return append(append([]byte{'['}, p...), ']'), nil
	default:
		return json.Marshal(base64.StdEncoding.EncodeToString(p))
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Payload) UnmarshalJSON(text []byte) error {
	switch {
	case string(text) == "null":
		*p = nil
	case len(text) > 2 && text[0] == '[':
		*p = bytes.Clone(text[1 : len(text)-1])
	default:
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return fmt.Errorf("decode payload: %w", err)
		}
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("decode payload: %w", err)
		}
		*p = raw
	}
	return nil
}

// isCompact reports whether p is JSON that goes through an encoder unchanged.
func isCompact(p []byte) bool {
	if len(p) == 0 || !utf8.Valid(p) || !json.Valid(p) {
		return false
	}
	var b bytes.Buffer
	return json.Compact(&b, p) == nil && bytes.Equal(b.Bytes(), p)
}
