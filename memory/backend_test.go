package memory_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
)

func open(config memory.Config) func(t *testing.T) lambdabiz.Backend {
	return func(t *testing.T) lambdabiz.Backend {
		t.Helper()
		b, err := memory.NewWith(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		return b
	}
}

// same stands for another process: what is in memory can be opened in no other way.
func same(_ *testing.T, b lambdabiz.Backend) lambdabiz.Backend { return b }

func TestBackend(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Config{Open: open(memory.Config{}), Reopen: same})
}

func TestBackendWhereCommitsEndClaims(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Config{Open: open(memory.Config{CommitEndsClaim: true}), Reopen: same})
}

func TestBackendThatPerformsTimers(t *testing.T) {
	t.Parallel()
	config := memory.Config{CommitEndsClaim: true, Performs: []lambdabiz.Kind{lambdabiz.KindTimer}}
	backendtest.Run(t, backendtest.Config{Open: open(config), Reopen: same})
}
