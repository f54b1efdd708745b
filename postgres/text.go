package postgres

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz/internal/row"
)

// escape begins the text of what is no text to PostgreSQL.
const escape = "\x01"

// text is how a string stands in a column. PostgreSQL takes no zero byte and nothing but UTF-8; what is not such is kept
// all the same.
func text(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) && !strings.HasPrefix(s, escape) {
		return s
	}
	return escape + base64.RawStdEncoding.EncodeToString([]byte(s))
}

// plain is the string of a column.
func plain(s string) (string, error) {
	encoded, ok := strings.CutPrefix(s, escape)
	if !ok {
		return s, nil
	}
	decoded, err := base64.RawStdEncoding.DecodeString(encoded)
	return string(decoded), err
}

// optional is text, and NULL for nothing.
func optional(s string) any {
	if s == "" {
		return nil
	}
	return text(s)
}

// digest stands for something in an index, however long it is.
func digest(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)[:16]
}

// asJSON is the JSON of a value, and NULL for nothing.
func asJSON(v any, nothing bool) (any, error) {
	if nothing {
		return nil, nil
	}
	encoded, err := json.Marshal(v)
	return string(encoded), err
}

// micros is a time, and NULL for the zero time.
func micros(t time.Time) any { return after(t, time.Time{}) }

// after is the difference of a time to another of the row, and NULL for the zero time.
func after(t, base time.Time) any {
	if micros, ok := row.After(t, base); ok {
		return micros
	}
	return nil
}

// stamp is a time as the columns keep it.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}
