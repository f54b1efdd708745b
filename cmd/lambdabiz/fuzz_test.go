package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// A JSON argument of any text, in place or on standard input, is JSON, or a mistake of usage that names its field.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{"", "null", "-", "text", `"text"`, "{", `{"a": [1, 2]}`, "\xff", "1 2", " \n1", "über", "1e999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, given := range [][]string{{text}, {"-"}} {
			a := &app{in: strings.NewReader(text)}
			p, err := a.payload(t.Context(), "input", given)
			var usage *usageError
			switch {
			case err != nil && (!errors.As(err, &usage) || !strings.Contains(err.Error(), "input")):
				if given[0] == "-" && errors.As(err, &usage) {
					continue
				}
				t.Errorf("%q gave %v", text, err)
			case err == nil && !json.Valid(p):
				t.Errorf("%q became %q", text, p)
			case err == nil && given[0] != "-" && !bytes.Contains([]byte(text), bytes.TrimSpace(p)):
				t.Errorf("%q became %q", text, p)
			}
		}
	})
}
