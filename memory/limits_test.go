package memory_test

import (
	"errors"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
)

// The limits that a home may have are kept: the suite goes up to them, and a batch of one item more is refused whole.
func TestBackendThatWritesLittleAtOnce(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Config{Open: open(memory.Config{MaxCommitItems: 300, MaxCommitBytes: 8 << 20}), Reopen: same})
}

func TestMoreThanMayBeWrittenAtOnceIsRefused(t *testing.T) {
	t.Parallel()
	b := open(memory.Config{MaxCommitItems: 16, MaxCommitBytes: 1000})(t)
	starts := func(n, bytes int) *lambdabiz.Commit {
		c := &lambdabiz.Commit{}
		for range n {
			c.Starts = append(c.Starts, lambdabiz.RunStart{
				ID: "x", RunID: "x", Name: "D", Input: make(lambdabiz.Payload, bytes),
			})
		}
		return c
	}
	for name, batch := range map[string][]*lambdabiz.Commit{
		"one commit of 17 items": {starts(17, 0)},
		"two of 17 items":        {starts(8, 0), starts(9, 0)},
		"1001 bytes":             {starts(1, 1001)},
		"1001 bytes in two":      {starts(1, 500), starts(1, 501)},
	} {
		if _, err := b.Commit(t.Context(), batch); !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Commit(t.Context(), []*lambdabiz.Commit{starts(8, 125), starts(8, 0)}); err != nil {
		t.Errorf("16 items of 1000 bytes: %v", err)
	}
	for _, c := range []memory.Config{{MaxCommitItems: 15}, {MaxCommitBytes: 63}, {MaxCommitItems: -1}} {
		if _, err := memory.NewWith(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
