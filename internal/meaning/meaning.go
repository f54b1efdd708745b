package meaning

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"slices"
)

// Codec is the codec that has written the payloads.
type Codec struct {
	Encode func(v any) ([]byte, error)
	Decode func(p []byte, v any) error
}

// Sum is what a payload means, to be compared. Two payloads with different Loose sums do not mean the same; two with the
// same Exact sum do, if it is Known.
type Sum struct {
	Exact [sha256.Size]byte
	Loose [sha256.Size]byte // whatever the order of lists
	Known bool
}

// Of is the meaning of a payload. Sample is a value of the type that it was made of, or nil. What cannot be read has the
// zero Sum.
func (c Codec) Of(p []byte, sample any) Sum {
	text, known := c.text(p)
	if !known {
		v, ok := c.typed(p, sample)
		if !ok {
			return Sum{}
		}
		var err error
		if text, err = json.Marshal(v.Interface()); err != nil {
			return Sum{}
		}
	}
	v, err := parsed(text)
	if err != nil {
		return Sum{}
	}
	exact, err := json.Marshal(v)
	if err != nil {
		return Sum{}
	}
	loose, err := json.Marshal(unordered(v))
	if err != nil {
		return Sum{}
	}
	return Sum{sha256.Sum256(exact), sha256.Sum256(loose), known}
}

// Same reports whether two payloads mean the same. Sample is a value of the type that they were made of, or nil.
func (c Codec) Same(a, b []byte, sample any) bool {
	return bytes.Equal(a, b) || c.SameAs(a, b, c.Of(a, sample), c.Of(b, sample), sample)
}

// SameAs is [Codec.Same] for payloads whose sums are at hand.
func (c Codec) SameAs(a, b []byte, x, y Sum, sample any) bool {
	switch {
	case x.Known != y.Known || x.Loose != y.Loose:
		return false
	case x.Known && x.Exact == y.Exact:
		return true
	default: // they differ in the order of lists, or their type alone knows what they mean
		return c.sameTyped(a, b, x, sample)
	}
}

// Text is a payload as JSON that is the same for all that means the same, if the codec can say so without a type.
func (c Codec) Text(p []byte) ([]byte, bool) {
	text, ok := c.text(p)
	if !ok {
		return nil, false
	}
	v, err := parsed(text)
	if err != nil {
		return nil, false
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err == nil
}

// text is a payload as some JSON, if the codec can read it without a type.
func (c Codec) text(p []byte) ([]byte, bool) {
	var raw json.RawMessage // keeps all digits of numbers, where the codec's values are JSON
	if c.Decode(p, &raw) == nil && json.Valid(raw) {
		return raw, true
	}
	var v any
	if c.Decode(p, &v) != nil {
		return nil, false
	}
	text, err := json.Marshal(v)
	return text, err == nil
}

func parsed(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// unordered puts the lists in a value in the order of their elements' texts.
func unordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = unordered(e)
		}
		return m
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			text, err := json.Marshal(unordered(e))
			if err != nil {
				return v
			}
			texts[i] = string(text)
		}
		slices.Sort(texts)
		return texts
	default:
		return v
	}
}

// typed reads a payload into a new value of the sample's type.
func (c Codec) typed(p []byte, sample any) (reflect.Value, bool) {
	if sample == nil {
		return reflect.Value{}, false
	}
	v := reflect.New(reflect.TypeOf(sample))
	if c.Decode(p, v.Interface()) != nil {
		return reflect.Value{}, false
	}
	return v.Elem(), true
}

// sameTyped compares payloads by the values that they give in the type that they were made of.
func (c Codec) sameTyped(a, b []byte, sum Sum, sample any) bool {
	x, read := c.typed(a, sample)
	y, readToo := c.typed(b, sample)
	if !read || !readToo {
		return false
	}
	if sum.Known && !c.keeps(x, sum) {
		return false
	}
	if reflect.DeepEqual(x.Interface(), y.Interface()) {
		return true
	}
	again, _ := c.typed(a, sample)
	if again.IsValid() && reflect.DeepEqual(x.Interface(), again.Interface()) {
		return false
	}
	// A type that cannot be compared: not even with itself.
	left, err := json.Marshal(x.Interface())
	if err != nil {
		return false
	}
	right, err := json.Marshal(y.Interface())
	return err == nil && JSON.Of(left, nil).Exact == JSON.Of(right, nil).Exact
}

// keeps reports whether the type keeps all that it reads: one that only writes itself would make all payloads equal.
func (c Codec) keeps(v reflect.Value, sum Sum) bool {
	p, err := c.Encode(v.Interface())
	return err == nil && c.Of(p, nil).Loose == sum.Loose
}

// JSON is the codec of encoding/json.
var JSON = Codec{Encode: json.Marshal, Decode: json.Unmarshal}
