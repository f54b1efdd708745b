package fakeswf

import (
	_ "embed" // the condensed service model
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
)

// modelJSON is derived from botocore's service model of SWF (botocore/data/swf/2012-01-25/service-2.json, Apache-2.0)
// by the program in modelgen.
//
//go:embed model.json
var modelJSON []byte

// serviceModel says for every operation which shape its input and its output has.
type serviceModel struct {
	Operations map[string][2]string `json:"operations"`
	Shapes     map[string]*shape    `json:"shapes"`
}

// shape is one type of the model with its constraints.
type shape struct {
	Kind     string            `json:"t"`
	Required []string          `json:"r"`
	Members  map[string]string `json:"m"`
	IDs      []string          `json:"i"` // members that may not have : / | or control characters, nor be "arn"
	Trimmed  []string          `json:"w"` // members that may not begin or end with white space
	Member   string            `json:"l"` // what a list holds
	Min      *int              `json:"min"`
	Max      *int              `json:"max"`
	Enum     []string          `json:"e"`
}

// model parses the embedded model once. It is part of the program, so it can only be wrong in a broken build.
var model = sync.OnceValue(func() *serviceModel {
	m := &serviceModel{}
	if err := json.Unmarshal(modelJSON, m); err != nil {
		panic(fmt.Sprintf("fakeswf: parse the embedded model: %v", err))
	}
	return m
})

// checker collects what is wrong with a value.
type checker struct {
	strict   bool // members that the model does not know are wrong
	problems []string
}

// check compares a value with a shape and returns AWS's words for each violation.
// AWS: "1 validation error detected: Value null at 'domain' failed to satisfy constraint: Member must not be null".
func (m *serviceModel) check(shapeName string, value any, strict bool) []string {
	c := &checker{strict: strict}
	c.value(m, shapeName, "", value)
	return c.problems
}

func (c *checker) add(path string, value any, constraint string) {
	text := "null"
	if value != nil {
		text = fmt.Sprintf("'%v'", value)
	}
	c.problems = append(c.problems, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", text, path, constraint))
}

func (c *checker) value(m *serviceModel, name, path string, value any) {
	s := m.Shapes[name]
	switch s.Kind {
	case "structure":
		c.structure(m, s, path, value)
	case "list":
		c.list(m, s, path, value)
	case "string":
		c.text(s, name, path, value)
	case "boolean":
		if _, ok := value.(bool); !ok {
			c.add(path, value, "Member must be a boolean")
		}
	default:
		c.number(s, path, value)
	}
}

func (c *checker) structure(m *serviceModel, s *shape, path string, value any) {
	var o object
	switch v := value.(type) {
	case object:
		o = v
	case map[string]any:
		o = v
	default:
		c.add(path, value, "Member must be a structure")
		return
	}
	join := func(member string) string {
		if path == "" {
			return member
		}
		return path + "." + member
	}
	for _, member := range s.Required {
		if o[member] == nil {
			c.add(join(member), nil, "Member must not be null")
		}
	}
	for _, member := range slices.Sorted(maps.Keys(o)) {
		kind, known := s.Members[member]
		switch {
		case !known && c.strict:
			c.add(join(member), o[member], "Member must be one of the model")
		case known && o[member] != nil:
			c.value(m, kind, join(member), o[member])
			c.rules(s, o, member, join(member))
		}
	}
}

// rules checks what the model says in words only. "The specified string must not contain a : (colon), / (slash), | (vertical bar),
// or any control characters (\u0000-\u001f | \u007f-\u009f). Also, it must not be the literal string arn." How AWS words the refusal
// is assumed.
func (c *checker) rules(s *shape, o object, member, path string) {
	text, ok := o[member].(string)
	if !ok { // a task list: the rule is about its name
		text, path = o.sub(member).text("name"), path+".name"
	}
	if slices.Contains(s.IDs, member) && (text == "arn" || strings.ContainsFunc(text, forbidden)) {
		c.add(path, text, `Member must satisfy regular expression pattern: (?!arn$)[^:/|\u0000-\u001f\u007f-\u009f]+`)
	}
	// "Valid values are integers that range from Java's Integer.MIN_VALUE (-2147483648) to Integer.MAX_VALUE (2147483647)."
	if strings.HasSuffix(strings.ToLower(member), "taskpriority") && text != "" {
		if _, err := strconv.ParseInt(text, 10, 32); err != nil {
			c.add(path, text, "Member must be an integer of 32 bits")
		}
	}
	// Of this duration the documentation does not say that it may be NONE.
	if member == "startToFireTimeout" && text == "NONE" {
		c.add(path, text, "Member must satisfy regular expression pattern: [0-9]+")
	}
	if slices.Contains(s.Trimmed, member) && strings.TrimSpace(text) != text {
		c.add(path, text, `Member must satisfy regular expression pattern: \S(.*\S)?`)
	}
}

func forbidden(r rune) bool {
	return r == ':' || r == '/' || r == '|' || r < 0x20 || r >= 0x7f && r <= 0x9f
}

func (c *checker) list(m *serviceModel, s *shape, path string, value any) {
	values, ok := value.([]any)
	if !ok {
		c.add(path, value, "Member must be a list")
		return
	}
	if s.Max != nil && len(values) > *s.Max {
		c.add(path, value, fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
	}
	for i, v := range values {
		c.value(m, s.Member, path+"."+strconv.Itoa(i+1)+".member", v)
	}
}

// text checks a string. Lengths count UTF-16 units, as Java does (assumed: the documentation says "characters").
func (c *checker) text(s *shape, name, path string, value any) {
	text, ok := value.(string)
	if !ok {
		c.add(path, value, "Member must be a string")
		return
	}
	length := len(text)
	if s.Max != nil && length > *s.Max {
		length = len(utf16.Encode([]rune(text)))
	}
	if s.Min != nil && length < *s.Min {
		c.add(path, value, fmt.Sprintf("Member must have length greater than or equal to %d", *s.Min))
	}
	if s.Max != nil && length > *s.Max {
		c.add(path, value, fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
	}
	if s.Enum != nil && !slices.Contains(s.Enum, text) {
		c.add(path, value, fmt.Sprintf("Member must satisfy enum value set: [%s]", strings.Join(s.Enum, ", ")))
	}
	// "The duration is specified in seconds, an integer greater than or equal to 0. You can use NONE to specify unlimited duration."
	if strings.HasPrefix(name, "DurationIn") && text != "" && text != "NONE" && strings.Trim(text, "0123456789") != "" {
		c.add(path, value, "Member must satisfy regular expression pattern: [0-9]+|NONE")
	}
}

func (c *checker) number(s *shape, path string, value any) {
	text := fmt.Sprint(value)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		c.add(path, value, "Member must be a number")
		return
	}
	if s.Min != nil && n < float64(*s.Min) {
		c.add(path, value, fmt.Sprintf("Member must have value greater than or equal to %d", *s.Min))
	}
	if s.Max != nil && n > float64(*s.Max) {
		c.add(path, value, fmt.Sprintf("Member must have value less than or equal to %d", *s.Max))
	}
}
