// Command modelgen condenses AWS's service model of SWF to what the fake needs: the shapes with their constraints.
//
// It reads botocore's service-2.json (botocore/data/swf/2012-01-25, Apache-2.0) from standard input and writes model.json:
//
//	gunzip -c service-2.json.gz | go run ./internal/fakeswf/modelgen > internal/fakeswf/model.json
package main

import (
	"encoding/json"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
)

type source struct {
	Operations map[string]struct {
		Input  reference
		Output reference
	}
	Shapes map[string]struct {
		Type      string
		Required  []string
		Members   map[string]reference
		Member    reference
		Min       *int
		Max       *int
		Enum      []string
		Exception bool
	}
}

type reference struct {
	Shape         string
	Documentation string
}

type shape struct {
	Type     string            `json:"t"`
	Required []string          `json:"r,omitempty"`
	Members  map[string]string `json:"m,omitempty"`
	IDs      []string          `json:"i,omitempty"`
	Trimmed  []string          `json:"w,omitempty"`
	Member   string            `json:"l,omitempty"`
	Min      *int              `json:"min,omitempty"`
	Max      *int              `json:"max,omitempty"`
	Enum     []string          `json:"e,omitempty"`
}

func main() {
	var in source
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		log.Fatalf("read the service model: %v", err)
	}
	operations := map[string][2]string{}
	for name, o := range in.Operations {
		operations[name] = [2]string{o.Input.Shape, o.Output.Shape}
	}
	shapes := map[string]shape{}
	for name, s := range in.Shapes {
		if s.Exception {
			continue
		}
		out := shape{Type: s.Type, Required: s.Required, Member: s.Member.Shape, Min: s.Min, Max: s.Max, Enum: s.Enum}
		for _, member := range slices.Sorted(maps.Keys(s.Members)) {
			if out.Members == nil {
				out.Members = map[string]string{}
			}
			m := s.Members[member]
			out.Members[member] = m.Shape
			// The characters that names and ids may not have stand in the documentation of the members only.
			if strings.Contains(m.Documentation, "must not contain a <code>:</code>") {
				out.IDs = append(out.IDs, member)
			}
			if strings.Contains(m.Documentation, "must not start or end with whitespace") {
				out.Trimmed = append(out.Trimmed, member)
			}
		}
		shapes[name] = out
	}
	encoder := json.NewEncoder(os.Stdout)
	if err := encoder.Encode(map[string]any{"operations": operations, "shapes": shapes}); err != nil {
		log.Fatalf("write the condensed model: %v", err)
	}
}
