package lambdabiz

import (
	"encoding/json"
	"fmt"
)

// Codec turns values into payloads and back. Decode(Encode(v)) must give a value that is as good as v
// to the author's code, since a first run sees the round trip too. A codec may encrypt or compress.
// Its methods are called by many goroutines at once.
type Codec interface {
	Encode(v any) (Payload, error)
	Decode(p Payload, v any) error
}

// JSONCodec is the default codec: encoding/json.
type JSONCodec struct{}

// Encode writes v as JSON.
func (JSONCodec) Encode(v any) (Payload, error) { return json.Marshal(v) }

// Decode reads JSON into v.
func (JSONCodec) Decode(p Payload, v any) error { return json.Unmarshal(p, v) }

// encode makes a payload and checks its size. A Payload is taken as it is, if the codec can read it. A
// panic of the value's own methods is an error.
func (e *Engine) encode(what string, v any) (Payload, error) {
	encoded, err := guard(func() (any, error) {
		if p, raw := v.(Payload); raw {
			var value any
			return p, e.codec.Decode(p, &value)
		}
		return e.codec.Encode(v)
	})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w: %w", what, ErrInvalidPayload, err)
	}
	p, _ := encoded.(Payload)
	if len(p) > e.maxPayload {
		return nil, fmt.Errorf("encode %s: %w: %d bytes, the limit is %d", what, ErrTooLarge, len(p), e.maxPayload)
	}
	return p, nil
}

// Decode reads a payload of a [State] or of a Run[Payload] with the engine's codec.
func (e *Engine) Decode(p Payload, v any) error { return e.decode("payload", p, v) }

// decode reads a payload; an empty one leaves v as it is.
func (e *Engine) decode(what string, p Payload, v any) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := guard(func() (any, error) { return nil, e.codec.Decode(p, v) }); err != nil {
		return fmt.Errorf("decode %s: %w: %w", what, ErrInvalidPayload, err)
	}
	return nil
}
