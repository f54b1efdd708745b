package swf

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// encodeID makes a workflow id, a type's name or a task list of any id, reversibly. SWF forbids ":", "/", "|",
// control characters, the id "arn", and white space at the ends of a list (StartWorkflowExecution, parameters workflowId
// and taskList).
func encodeID(id string) string {
	if id == "arn" {
		return "%61rn"
	}
	var b strings.Builder
	for i, c := range id {
		end := unicode.IsSpace(c) && (i == 0 || i+utf8.RuneLen(c) == len(id))
		if end || c == '%' || c == ':' || c == '/' || c == '|' || c <= 0x1f || c >= 0x7f && c <= 0x9f {
			for _, x := range []byte(string(c)) {
				fmt.Fprintf(&b, "%%%02X", x)
			}
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// decodeID is the reverse of encodeID. What encodeID cannot have made stays as it is.
func decodeID(id string) string {
	plain, err := url.PathUnescape(id)
	if err != nil || encodeID(plain) != id {
		return id
	}
	return plain
}

// units is the length of a text as Amazon SWF counts it: in UTF-16 code units, as Java and the service model do. That
// of a character outside the basic plane, as most emoji are, is two.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// checkLength refuses an id that does not fit when it is encoded.
func checkLength(field, id string) error {
	if n := units(encodeID(id)); n > maxName {
		return fmt.Errorf("check %s %q: %w: %d characters when it is encoded for Amazon SWF, the limit is %d",
			field, id, lambdabiz.ErrTooLarge, n, maxName)
	}
	return nil
}

// checkQueue is checkLength for the name of a task list, which has room for that of its services; see workList.
func checkQueue(field, name string) error {
	if err := checkLength(field, name); err != nil {
		return err
	}
	most := maxName - units(workList("", lambdabiz.KindService))
	if n := units(encodeID(name)); n > most {
		return fmt.Errorf("check %s %q: %w: %d characters when it is encoded for Amazon SWF, the limit of a task list with services is %d",
			field, name, lambdabiz.ErrTooLarge, n, most)
	}
	return nil
}

// attemptID names an attempt of an operation: readable if it is short, hashed if not.
func attemptID(path string, attempt int) string {
	id := encodeID(path)
	if len(id) > 200 {
		sum := sha256.Sum256([]byte(path))
		id = "#" + hex.EncodeToString(sum[:20])
	}
	return id + "~" + strconv.Itoa(attempt)
}

// seconds is a duration in whole seconds, rounded up, as SWF takes it: in eight digits, and of a year at most, when
// the run has ended.
func seconds(d time.Duration) *string {
	d = min(max(d, 0), maxRun)
	s := strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
	return &s
}

// payload is a lambdabiz.Payload inside this package's JSON: what is compact JSON stands as itself in an
// array, so that a person can read it; anything else is base64.
type payload lambdabiz.Payload

// MarshalJSON implements json.Marshaler.
func (p payload) MarshalJSON() ([]byte, error) {
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
func (p *payload) UnmarshalJSON(text []byte) error {
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

// marshal writes JSON without escaping what only browsers mind.
func marshal(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encode for Amazon SWF: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// fit is marshal with the limit of a value.
func fit(what string, v any) (string, error) {
	s, err := marshal(v)
	if n := units(s); err == nil && n > maxChars {
		err = fmt.Errorf("%s: %w: %d characters with its envelope, the limit of Amazon SWF is %d",
			what, lambdabiz.ErrTooLarge, n, maxChars)
	}
	return s, err
}

// envelopeStart begins everything that this package writes.
const envelopeStart = `{"lambdabiz":`

// isPlain reports whether a result may stand as itself: it is text, and no reader takes it for an envelope.
func isPlain(p []byte) bool { return utf8.Valid(p) && !bytes.HasPrefix(p, []byte(envelopeStart)) }

// version is the format of everything that this package writes.
const version = 1

// errForeign: the text was not written by this package.
var errForeign = errors.New("not an envelope of this package")

// open decodes an envelope. Foreign text is errForeign.
func open(text string, v interface{ format() int }) error {
	if !strings.HasPrefix(text, envelopeStart) {
		return errForeign
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return errors.Join(errForeign, err)
	}
	if v.format() != version {
		return fmt.Errorf("%w: its version is %d, this code knows %d", errForeign, v.format(), version)
	}
	return nil
}
