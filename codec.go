package lambdabiz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz/internal/plain"
)

// Codec turns values into payloads and back. Decode(Encode(v)) must give a value that is as good as v
// to the author's code, since a first run sees the round trip too. A codec may encrypt or compress.
// Where inputs are compared, two payloads are the same if they mean the same: see [StrictInputs].
// Its methods are called by many goroutines at once.
type Codec interface {
	Encode(v any) (Payload, error)
	Decode(p Payload, v any) error
}

// JSONCodec is the default codec: encoding/json.
type JSONCodec struct{}

// Encode writes v as JSON, without the escapes that encoding/json makes for HTML: each of <, > and &
// would be six bytes of a record.
func (JSONCodec) Encode(v any) (Payload, error) {
	p, err := json.Marshal(v)
	return withoutHTMLEscapes(p), err
}

// withoutHTMLEscapes replaces them in JSON, in place. A json.Encoder that makes none costs two
// allocations more, and does not keep the json.Marshal of a value's own method from making them.
func withoutHTMLEscapes(p []byte) []byte {
	at := bytes.Index(p, []byte(`\u`))
	if at < 0 {
		return p
	}
	at = bytes.IndexByte(p, '\\') // a backslash before it may be one that escapes this one
	kept := p[:at]
	for at < len(p) {
		if p[at] != '\\' || at+1 == len(p) {
			kept, at = append(kept, p[at]), at+1
			continue
		}
		size := 2
		if p[at+1] == 'u' && at+6 <= len(p) {
			size = 6
		}
		escape := p[at : at+size]
		at += size
		switch string(escape) {
		case `\u003c`:
			kept = append(kept, '<')
		case `\u003e`:
			kept = append(kept, '>')
		case `\u0026`:
			kept = append(kept, '&')
		case `\u2028`:
			kept = append(kept, "\u2028"...)
		case `\u2029`:
			kept = append(kept, "\u2029"...)
		default:
			kept = append(kept, escape...)
		}
	}
	return kept
}

// Decode reads JSON into v.
func (JSONCodec) Decode(p Payload, v any) error { return json.Unmarshal(p, v) }

// codecName names a codec for those who have another one; "" for the default.
func codecName(c Codec) string {
	switch c.(type) {
	case JSONCodec, *JSONCodec:
		return ""
	}
	return fmt.Sprintf("%T", c)
}

// payloads makes payloads of the author's values, and values of payloads. It calls the author's codec: not while a lock
// is held.
type payloads struct {
	codec Codec
	most  int // bytes of one payload
	body  int // of the input, and of the result, of a service
}

// newPayloads has the limit of a config, and that of a home, 0 for none. A service's payloads have room for half as much
// again, since a body that is no text is recorded in base64, and the headers stand beside it.
func newPayloads(c Codec, most, home int) payloads {
	if home <= 0 {
		return payloads{c, most, most + most/2}
	}
	most = min(most, home)
	return payloads{c, most, min(most+most/2, home)}
}

// encode makes a payload and checks its size. A Payload is taken as it is, if the codec can read it. A
// panic of the value's own methods is an error.
func (p *payloads) encode(what string, v any) (Payload, error) {
	return p.encodeWithin(what, v, p.most)
}

// encodeOf is encode for the input or the result of an operation.
func (p *payloads) encodeOf(kind Kind, what string, v any) (Payload, error) {
	if kind == KindService {
		return p.encodeWithin(what, v, p.body)
	}
	return p.encodeWithin(what, v, p.most)
}

func (p *payloads) encodeWithin(what string, v any, limit int) (Payload, error) {
	made, err := p.make(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w: %w", what, ErrInvalidPayload, err)
	}
	if len(made) > limit {
		return nil, fmt.Errorf("encode %s: %w: %d bytes, the limit is %d", what, ErrTooLarge, len(made), limit)
	}
	return made, nil
}

// make calls the codec, or the methods of the value by it.
func (p *payloads) make(v any) (made Payload, err error) {
	defer recovered(&err)
	if given, raw := v.(Payload); raw {
		return given, readable(p.codec, given)
	}
	return p.codec.Encode(v)
}

// copied is the T that decoding gives of what was encoded of v, if it is known without that: a copy of v, which shares
// nothing with it but the memory of its strings.
func copied[T any](p *payloads, v any) (T, bool) {
	out, ok := v.(T)
	if ok = ok && reflect.TypeFor[T]().Kind() != reflect.Interface && p.copies(v); !ok {
		var none T
		return none, false
	}
	return out, true
}

// copies reports whether decoding gives of what was encoded of v a value that is as v.
func (p *payloads) copies(v any) bool {
	switch p.codec.(type) {
	case JSONCodec, *JSONCodec:
		return plain.Is(v)
	}
	return false
}

// reads reports whether a payload of v can be read as a T. It is asked at the door: what has been taken and cannot be
// read blocks its orchestration, with nobody left to tell.
func reads[T any](p *payloads, what string, v any, stored Payload) error {
	if _, is := copied[T](p, v); is {
		return nil
	}
	var out T
	return unreadable(p.decode(what, stored, &out))
}

// readsBack is reads for a value whose reader is not known: its own type must be able to.
func (p *payloads) readsBack(what string, v any, stored Payload) error {
	if _, raw := v.(Payload); raw || v == nil || p.copies(v) {
		return nil
	}
	return unreadable(p.decode(what, stored, reflect.New(reflect.TypeOf(v)).Interface()))
}

func unreadable(err error) error {
	if err != nil {
		return fmt.Errorf("what was encoded cannot be read back: %w", err)
	}
	return nil
}

var errNotText = errors.New("it is not UTF-8")

// readable reports whether a payload is what the codec makes. A number need not fit into a float64 for that.
func readable(c Codec, p Payload) error {
	if codecName(c) == "" {
		if !utf8.Valid(p) {
			return errNotText
		}
		var raw json.RawMessage
		return json.Unmarshal(p, &raw)
	}
	var value any
	err := c.Decode(p, &value)
	if err != nil {
		var raw json.RawMessage
		if c.Decode(p, &raw) == nil && json.Valid(raw) {
			return nil
		}
	}
	return err
}

// decode reads a payload; an empty one leaves v as it is.
func (p *payloads) decode(what string, stored Payload, v any) error {
	if len(stored) == 0 {
		return nil
	}
	if err := p.read(stored, v); err != nil {
		return fmt.Errorf("decode %s: %w: %w", what, ErrInvalidPayload, err)
	}
	return nil
}

// read calls the codec, or the methods of the value by it.
func (p *payloads) read(stored Payload, v any) (err error) {
	defer recovered(&err)
	return p.codec.Decode(stored, v)
}
