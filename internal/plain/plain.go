package plain

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Is reports whether v is such a value.
func Is(v any) bool {
	if v == nil {
		return false
	}
	t := reflect.TypeOf(v)
	s := shapeOf(t)
	return s.plain && s.isText(reflect.ValueOf(v))
}

// Clone gives all strings in the plain value that p points to memory of their own: they may be parts of larger ones.
func Clone(p any) {
	v := reflect.ValueOf(p).Elem()
	shapeOf(v.Type()).clone(v)
}

// shape is what is known of a type.
type shape struct {
	plain  bool
	text   bool    // it is a string
	fields []field // those with text in them
}

type field struct {
	index int
	of    *shape
}

// isText reports whether all strings of a value are what JSON can have.
func (s *shape) isText(v reflect.Value) bool {
	if s.text {
		return utf8.ValidString(v.String())
	}
	for _, f := range s.fields {
		if !f.of.isText(v.Field(f.index)) {
			return false
		}
	}
	return true
}

func (s *shape) clone(v reflect.Value) {
	if s.text {
		v.SetString(strings.Clone(v.String()))
	}
	for _, f := range s.fields {
		f.of.clone(v.Field(f.index))
	}
}

func (s *shape) hasText() bool { return s.text || len(s.fields) > 0 }

var shapes sync.Map // of reflect.Type: *shape

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape) //nolint:forcetypeassert // its own
	}
	known, _ := shapes.LoadOrStore(t, look(t))
	return known.(*shape) //nolint:forcetypeassert // its own
}

// look looks at a type. A struct cannot have itself in it but by a pointer, which is not plain.
func look(t reflect.Type) *shape {
	if t == reflect.TypeFor[json.Number]() || t != reflect.TypeFor[time.Duration]() && reflect.PointerTo(t).NumMethod() > 0 {
		return &shape{}
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &shape{plain: true}
	case reflect.String:
		return &shape{plain: true, text: true}
	case reflect.Struct:
		return lookInto(t)
	default:
		return &shape{}
	}
}

func lookInto(t reflect.Type) *shape {
	s := &shape{plain: true}
	names := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, given := f.Tag.Lookup("json")
		if !given {
			name = f.Name
		}
		name = strings.ToLower(name) // encoding/json takes other letters too
		of := shapeOf(f.Type)
		if !f.IsExported() || f.Anonymous || !isName(name) || names[name] || !of.plain {
			return &shape{}
		}
		names[name] = true
		if of.hasText() {
			s.fields = append(s.fields, field{i, of})
		}
	}
	return s
}

// isName reports whether a json tag is a name that encoding/json takes as it is, and nothing else.
func isName(tag string) bool {
	for _, c := range tag {
		if (c < 'a' || 'z' < c) && (c < '0' || '9' < c) && c != '_' {
			return false
		}
	}
	return tag != ""
}
