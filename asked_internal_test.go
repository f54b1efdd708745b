package lambdabiz

import (
	"strings"
	"testing"
	"unsafe"
)

// A result that a body had cut out of a large text kept all of that in memory, for as long as the code kept the result.
func TestAResultIsNotPartOfALargerText(t *testing.T) {
	t.Parallel()
	type order struct {
		ID   string
		Item struct{ Name string }
	}
	text := strings.Repeat("x", 1<<20)
	cut := order{ID: text[:3]}
	cut.Item.Name = text[:3]
	a := &asking[order]{}
	if !a.copy(&payloads{codec: JSONCodec{}}, cut) || a.out != cut {
		t.Fatalf("the copy is %v", a.out)
	}
	for _, s := range []string{a.out.ID, a.out.Item.Name} {
		if unsafe.StringData(s) == unsafe.StringData(text) {
			t.Error("it is part of the larger text")
		}
	}
}
