package plain_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/plain"
)

type (
	money   int64
	shouted string
	inner   struct {
		Text  string
		Ratio float64 `json:"ratio"`
	}
	order struct {
		ID     string `json:"id"`
		Count  int
		Cents  money
		Paid   bool
		Weight float32
		Limit  time.Duration
		Sizes  uint64 `json:"maxSize"`
		Inner  inner
	}
	unexported struct {
		A int
		b int
	}
	tree struct {
		Name string
		Left *tree
	}
)

func (s shouted) MarshalText() ([]byte, error) { return []byte(string(s) + "!"), nil }

func TestWhatIsPlain(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		true, 1, int8(1), uint64(math.MaxUint64), 1.5, float32(1.5), "text", "", money(3), time.Second, inner{}, order{}, struct{}{},
		struct {
			A int `json:"a"`
			B int `json:"b"`
		}{},
		math.Copysign(0, -1), "\u2028<>&\x00", struct{ A, B int }{},
	} {
		if !plain.Is(v) {
			t.Errorf("%#v is plain", v)
		}
	}
}

// Each of these comes out of JSON as something else, or shares memory with its copy, or may do so.
func TestWhatIsNotPlain(t *testing.T) {
	t.Parallel()
	one := 1
	for name, v := range map[string]any{
		"nothing":                   nil,
		"a pointer":                 &one,
		"a slice":                   []int{1},
		"an array":                  [1]int{1},
		"a map":                     map[string]int{},
		"a channel":                 make(chan int),
		"a complex number":          complex(1, 1),
		"bytes":                     []byte("x"),
		"a time":                    time.Now(),
		"a number as text":          json.Number("1"),
		"raw JSON":                  json.RawMessage("1"),
		"text with a method":        shouted("x"),
		"a field that is not shown": unexported{1, 2},
		"a tree":                    tree{},
		"text that is not UTF-8":    "\xff",
		"such text deep inside":     order{Inner: inner{Text: "a\xffb"}},
		"any":                       struct{ A any }{1},
		"a field left out": struct {
			A int `json:"-"`
		}{1},
		"a field that may be left": struct {
			A float64 `json:"a,omitempty"`
		}{math.Copysign(0, -1)},
		"a number in quotes": struct {
			A int `json:",string"` //nolint:tagliatelle // no name is given
		}{1},
		"one name twice": reflect.New(reflect.StructOf([]reflect.StructField{ // vet would refuse it
			{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"x"`}, {Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
		})).Elem().Interface(),
		"one name in other letters": struct {
			A int `json:"x"`
			B int `json:"X"` //nolint:tagliatelle // the same name as x to a decoder
		}{1, 2},
		"a name with a sign": struct {
			A int `json:"a b"` //nolint:tagliatelle // JSON ignores such a tag
		}{1},
		"a field's fields":      struct{ inner }{},
		"a field with a method": struct{ A shouted }{"x"},
	} {
		if plain.Is(v) {
			t.Errorf("%s: %#v is not plain", name, v)
		}
	}
}

func TestPlainValuesComeOutOfJSONAsTheyWentIn(t *testing.T) {
	t.Parallel()
	same := func(v order) bool {
		if !plain.Is(v) {
			return true // the text is not UTF-8
		}
		encoded, err := json.Marshal(v)
		var out order
		return err == nil && json.Unmarshal(encoded, &out) == nil && reflect.DeepEqual(v, out)
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	for range 20_000 {
		v := math.Float64frombits(rand.Uint64())
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue // json.Marshal refuses it
		}
		if !same(order{Inner: inner{Ratio: v}, Weight: math.Float32frombits(rand.Uint32N(0x7f800000))}) {
			t.Fatalf("%x does not come back", math.Float64bits(v))
		}
	}
}

func TestLookingCostsNoMemory(t *testing.T) {
	v := any(order{ID: "x"})
	if n := testing.AllocsPerRun(100, func() { plain.Is(v) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
