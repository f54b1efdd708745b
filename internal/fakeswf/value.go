package fakeswf

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of the wire: a request, a response or the attributes of an event.
// Requests are read through its methods only after the model has checked the types.
type object map[string]any

// text returns a string member, "" if it is absent.
func (o object) text(member string) string {
	s, _ := o[member].(string)
	return s
}

// sub returns a structure, an empty one if it is absent.
func (o object) sub(member string) object {
	switch v := o[member].(type) {
	case object:
		return v
	case map[string]any:
		return v
	default:
		return object{}
	}
}

// flag returns a boolean member, false if it is absent.
func (o object) flag(member string) bool {
	b, _ := o[member].(bool)
	return b
}

// number returns an integer member, 0 if it is absent.
func (o object) number(member string) int64 {
	switch v := o[member].(type) {
	case int64:
		return v
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return 0
		}
		return n
	default:
		return 0
	}
}

// has reports whether a member is present.
func (o object) has(member string) bool {
	return o[member] != nil
}

// list returns the structures of a list.
func (o object) list(member string) []object {
	values, _ := o[member].([]any)
	var list []object
	for _, v := range values {
		if m, ok := v.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

// time returns a timestamp member: seconds since 1970 with a fraction.
func (o object) time(member string) (time.Time, bool) {
	n, ok := o[member].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds*1000 + 0.5)).UTC(), true
}

// put sets a text unless it is empty, and returns o.
func (o object) put(member, text string) object {
	if text != "" {
		o[member] = text
	}
	return o
}

// take copies the named members that from has, and returns o.
func (o object) take(from object, members ...string) object {
	for _, member := range members {
		if v, ok := from[member]; ok && v != nil {
			o[member] = v
		}
	}
	return o
}

// and adds all members of another object, and returns o.
func (o object) and(other object) object {
	maps.Copy(o, other)
	return o
}

// stamp is a time as AWS's JSON 1.0 protocol writes it: seconds since 1970, here with milliseconds.
func stamp(t time.Time) json.Number {
	return json.Number(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64))
}

// lowerFirst turns the name of a type into the name of a member.
func lowerFirst(s string) string {
	return strings.ToLower(s[:1]) + s[1:]
}

// seconds reads a duration of the wire; limited is false for NONE and for an absent one.
func seconds(text string) (d time.Duration, limited bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

func upperFirst(s string) string {
	return strings.ToUpper(s[:1]) + s[1:]
}
