package lambdabiz

import (
	"bytes"

	"github.com/lambdabiz/lambdabiz/internal/meaning"
)

// meanings compares payloads by what they mean. It calls the author's codec: not while a lock is held, and guarded.
func (p *payloads) meanings() meaning.Codec {
	return meaning.Codec{
		Encode: func(v any) ([]byte, error) { return p.codec.Encode(v) },
		Decode: func(stored []byte, v any) error { return p.codec.Decode(stored, v) },
	}
}

// isOtherInputLocked reports whether the code asks for a recorded operation with another input. A codec may write the same
// value in many ways. So if the bytes differ, what they mean is compared, and mu is given up meanwhile.
func (c *call) isOtherInputLocked(o *op, site *callSite) (other bool) {
	r := c.run()
	if !c.hasInput || bytes.Equal(o.Input, c.encoded) {
		return false
	}
	recorded := o.Input
	r.askedAsideLocked(c.scope(), site, func() { other = !c.meansTheSame(recorded) })
	return other
}

// meansTheSame compares a recorded input with the one of a call. What panics is another one.
func (c *call) meansTheSame(recorded Payload) bool {
	r := c.run()
	v, fault := guard(func() (any, error) { return r.env.meanings().Same(recorded, c.encoded, c.sample()), nil })
	if fault != nil {
		r.log().Warn("an input cannot be compared with a recorded one", "operation", c.id, "error", fault)
	}
	same, _ := v.(bool)
	return same
}
