package lambdabiz

import (
	"bytes"

	"github.com/lambdabiz/lambdabiz/internal/meaning"
)

// sample is the input as the code gives it: what its payload means is known by its type.
func (c *call) sample() any {
	if c.given != nil {
		return c.given
	}
	return c.input
}

// meanings compares payloads by what they mean. It calls the author's codec: not while a lock is held, and guarded.
func (p *payloads) meanings() meaning.Codec {
	return meaning.Codec{
		Encode: func(v any) ([]byte, error) { return p.codec.Encode(v) },
		Decode: func(stored []byte, v any) error { return p.codec.Decode(stored, v) },
	}
}

// askedAsideLocked calls foreign code about an operation that the code of a scope has come to. It gives mu up meanwhile:
// the run may not be live afterwards.
func (r *run) askedAsideLocked(s *scope, site *callSite, f func()) {
	busy, asking := s.busy, s.asking
	s.busy, s.asking = site, true
	r.mu.Unlock()
	f()
	r.mu.Lock()
	s.busy, s.asking = busy, asking
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
