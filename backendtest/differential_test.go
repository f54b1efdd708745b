package backendtest_test

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
		return b
	}
}

func TestDifferential(t *testing.T) {
	t.Parallel()
	backendtest.Differential(t, map[string]func(t *testing.T) lambdabiz.Backend{
		"memory": open(memory.Config{}),
	})
}

func TestDifferentialWhereCommitsEndClaims(t *testing.T) {
	t.Parallel()
	backendtest.Differential(t, map[string]func(t *testing.T) lambdabiz.Backend{
		"memory": open(memory.Config{CommitEndsClaim: true}),
	})
}
