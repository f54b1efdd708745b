package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

func TestFailuresAreShrunkUntilTheyFit(t *testing.T) {
	t.Parallel()
	deep := &lambdabiz.Failure{Message: strings.Repeat("é", 40_000)}
	for range 50 {
		deep = &lambdabiz.Failure{Message: strings.Repeat("x", 3000), Causes: []*lambdabiz.Failure{deep, {Message: "beside"}}}
	}
	for _, limit := range []int{500, 4000, MaxPayload} {
		small := Shrink(deep, limit)
		text, err := json.Marshal(small)
		if err != nil || len(text) > limit+200 {
			t.Errorf("with the limit %d it has %d bytes, %v", limit, len(text), err)
		}
	}
	if f := (&lambdabiz.Failure{Message: "short"}); Shrink(f, 500) != f {
		t.Error("what fits was changed")
	}
}
