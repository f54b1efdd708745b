package homes_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/gob"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// sealed is a codec that encrypts, with another nonce each time.
type sealed struct{ cipher.AEAD }

func newSealed(t *testing.T) sealed {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return sealed{aead}
}

func (s sealed) Encode(v any) (lambdabiz.Payload, error) {
	p, err := json.Marshal(v)
	nonce := make([]byte, s.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return s.Seal(nonce, nonce, p, nil), err
}

func (s sealed) Decode(p lambdabiz.Payload, v any) error {
	if len(p) < s.NonceSize() {
		return errors.New("too short")
	}
	text, err := s.Open(nil, p[:s.NonceSize()], p[s.NonceSize():], nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// gobbed is a codec that needs to know the type, and writes maps in any order.
type gobbed struct{}

func (gobbed) Encode(v any) (lambdabiz.Payload, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func (gobbed) Decode(p lambdabiz.Payload, v any) error {
	return gob.NewDecoder(bytes.NewReader(p)).Decode(v)
}

// swaps counts what was written, to write it in another order each time.
var swaps atomic.Int64

// labels writes itself as an object, in another order each time, as one that ranges over its map.
type labels struct{ A, B int64 }

func (l labels) MarshalJSON() ([]byte, error) {
	a, err := json.Marshal(l.A)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(l.B)
	if swaps.Add(1)%2 == 0 {
		return slices.Concat([]byte(`{"B":`), b, []byte(`,"A":`), a, []byte(`}`)), err
	}
	return slices.Concat([]byte(`{"A":`), a, []byte(`,"B":`), b, []byte(`}`)), err
}

// set writes itself as a list, in another order each time.
type set map[int64]bool

func (s set) MarshalJSON() ([]byte, error) {
	var list []int64
	for n := range s {
		list = append(list, n)
	}
	slices.Sort(list)
	if swaps.Add(1)%2 == 0 {
		slices.Reverse(list)
	}
	return json.Marshal(list)
}

func (s *set) UnmarshalJSON(p []byte) error {
	var list []int64
	err := json.Unmarshal(p, &list)
	*s = set{}
	for _, n := range list {
		(*s)[n] = true
	}
	return err
}

// notRead writes itself as a list, and reads nothing of it.
type notRead struct{ list []int64 }

func (u notRead) MarshalJSON() ([]byte, error) { return json.Marshal(u.list) }

// ofInput is an orchestration that calls a task with an input, and waits.
func ofInput(id string, in any, opts ...lambdabiz.DefineOption) *lambdabiz.Definition[int, string] {
	return changing(func(o lambdabiz.Context, _ int) error {
		_, err := lambdabiz.CallTask[bool](o, id, "Take", in)
		return err
	}, opts...)
}

// big is beyond what a float64 tells apart.
const big = int64(1)<<60 + 1

type inputCase struct {
	name        string
	codec       lambdabiz.Codec
	same, other any
}

func inputCases(t *testing.T) []inputCase {
	t.Helper()
	s := newSealed(t)
	return []inputCase{
		{"in the order of a map", nil, labels{big, 2}, labels{big + 1, 2}},
		{"a list in the order of a map", nil, set{1: true, big: true}, set{1: true, big + 1: true}},
		{"a list that has an order", nil, []int64{1, 2}, []int64{2, 1}},
		{"a list that is not read", nil, notRead{[]int64{1, 2}}, notRead{[]int64{2, 1}}},
		{"sealed", s, big, big + 1},
		{"sealed, without a type", s, map[string]any{"n": big}, map[string]any{"n": big + 1}},
		{"sealed, in the order of a map", s, labels{big, 2}, labels{big, 3}},
		{"sealed, a list in the order of a map", s, set{1: true, 2: true}, set{1: true, 3: true}},
		{"sealed, nothing", s, nil, 1},
		{"of a type", gobbed{}, map[int64]string{1: "a", 2: "b", 3: "c", 4: "d"}, map[int64]string{1: "a", 2: "b", 3: "c", 4: "e"}},
	}
}

// resumed runs code until it waits, and then other code.
func resumed(b *bench, codec lambdabiz.Codec, before, after lambdabiz.Registrable) (*lambdabiz.State, func()) {
	b.t.Helper()
	var take lambdabiz.Registrable = lambdabiz.NewTask("Take", func(context.Context, any) (bool, error) { return true, nil })
	if codec == (gobbed{}) {
		take = lambdabiz.NewTask("Take", func(context.Context, map[int64]string) (bool, error) { return true, nil })
	}
	e, stop := b.workerWith(lambdabiz.Config{Codec: codec}, before, take)
	if _, err := e.StartByName(b.ctx, "Changing", "x", 1); err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	stop()
	e, stop = b.workerWith(lambdabiz.Config{Codec: codec}, after, take)
	if err := e.RaiseEvent(b.ctx, "x", "Go", true); err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	b.settle()
	return b.state(e, "x"), stop
}

// Row 167 of docs/proof/bugs.md.
func TestInputsAreComparedByWhatTheyMean(t *testing.T) {
	for _, c := range inputCases(t) {
		strict := ofInput("take", c.same, lambdabiz.StrictInputs())
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				s, stop := resumed(b, c.codec, strict, strict)
				if s.Status != lambdabiz.StatusSucceeded || b.logged("input differs") {
					t.Errorf("it is %v, blocked %+v", s.Status, s.Blocked)
				}
				stop()
			})
		})
		t.Run("not "+c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				s, stop := resumed(b, c.codec, ofInput("take", c.other), strict)
				if s.Blocked == nil || s.Blocked.Operation != "take" {
					t.Errorf("with another input it is %v, blocked %+v", s.Status, s.Blocked)
				}
				stop()
			})
		})
	}
}

func TestARenamedEffectIsFoundByWhatItsInputMeans(t *testing.T) {
	for _, c := range inputCases(t) {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				s, stop := resumed(b, c.codec, ofInput("take", c.same), ofInput("take-it", c.same))
				if s.Blocked == nil || s.Blocked.Operation != "take-it" {
					t.Errorf("it is %v, blocked %+v", s.Status, s.Blocked)
				}
				stop()
			})
		})
		t.Run("not "+c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				s, stop := resumed(b, c.codec, ofInput("take", c.same), ofInput("take-it", c.other))
				if s.Status != lambdabiz.StatusSucceeded {
					t.Errorf("with another input it is %v, blocked %+v", s.Status, s.Blocked)
				}
				stop()
			})
		})
	}
}
