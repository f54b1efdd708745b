package process_test

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// effect is one line that a body has appended.
type effect struct {
	what, id, path, key string
	attempt, pid        int
	at                  int64 // microseconds since 1970
}

func (e effect) operation() string { return e.id + " " + e.path }

// allEffects reads what all bodies of all processes did, in order.
func (b *bench) allEffects() []effect {
	b.t.Helper()
	all, _ := b.effectsFrom(0)
	return all
}

// effectsFrom reads from an offset on, and returns the next one.
func (b *bench) effectsFrom(offset int64) ([]effect, int64) {
	b.t.Helper()
	f, err := os.Open(b.effects)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<40))
	if err != nil {
		b.t.Fatal(err)
	}
	var all []effect
	for line := range strings.Lines(string(text)) {
		var e effect
		_, err := fmt.Sscan(line, &e.what, &e.id, &e.path, &e.key, &e.attempt, &e.pid, &e.at)
		if err != nil {
			b.t.Fatalf("effect %q: %v", line, err)
		}
		all = append(all, e)
	}
	return all, offset + int64(len(text))
}

// begun finds the begins of an operation's body.
func (b *bench) begun(id, path string) []effect {
	b.t.Helper()
	var found []effect
	for _, e := range b.allEffects() {
		if e.what == "begin" && e.id == id && e.path == path {
			found = append(found, e)
		}
	}
	return found
}

// wantBegun checks how often an operation's body has begun, and that each time it was the same attempt
// with the same key.
func (b *bench) wantBegun(id, path string, times int) {
	b.t.Helper()
	found := b.begun(id, path)
	if len(found) != times {
		b.t.Errorf("the body of %s in %s began %d times, want %d", path, id, len(found), times)
	}
	for _, e := range found {
		if e.attempt != 1 || e.key != found[0].key {
			b.t.Errorf("the body of %s in %s began as attempt %d with key %s, before with %s",
				path, id, e.attempt, e.key, found[0].key)
		}
	}
}
