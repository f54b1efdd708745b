package logbook_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/logbook"
)

func TestABookKeepsWhatManyWrite(t *testing.T) {
	t.Parallel()
	var b logbook.Book
	if b.String() != "" || b.Tail(3) != "" || b.Has("line") {
		t.Errorf("an empty book has %q", b.String())
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { _, _ = fmt.Fprintf(&b, "line %d.\n", i) })
	}
	all.Wait()
	for i := range 50 {
		if !b.Has(fmt.Sprintf("line %d.\n", i)) {
			t.Errorf("line %d is lost or cut", i)
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 50 {
		t.Errorf("there are %d lines", n)
	}
	if got := b.Tail(2); got != ".\n" {
		t.Errorf("it ends with %q", got)
	}
	if b.Reset(); b.String() != "" {
		t.Errorf("begun anew it has %q", b.String())
	}
}

func TestABookWithALimitBeginsAnew(t *testing.T) {
	t.Parallel()
	b := logbook.Book{Most: 4}
	for _, text := range []string{"one ", "two ", "three"} {
		_, _ = fmt.Fprint(&b, text)
	}
	if got := b.String(); got != "three" {
		t.Errorf("it has %q", got)
	}
}
