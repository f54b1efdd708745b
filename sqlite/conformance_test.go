package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, open)
}

// The same where claims read all runs as they read large ones.
func TestConformanceOfClaimsThatReadAhead(t *testing.T) {
	t.Parallel()
	conform(t, func(t *testing.T, path string) lambdabiz.Backend {
		b := open(t, path)
		b.(*sqlite.Backend).ReadAhead()
		return b
	})
}

func conform(t *testing.T, open func(t *testing.T, path string) lambdabiz.Backend) {
	t.Helper()
	var paths sync.Map // of the files, by backend
	backendtest.Run(t, backendtest.Config{
		Open: func(t *testing.T) lambdabiz.Backend {
			path := filepath.Join(t.TempDir(), "test.db")
			b := open(t, path)
			paths.Store(b, path)
			return b
		},
		Reopen: func(t *testing.T, b lambdabiz.Backend) lambdabiz.Backend {
			path, _ := paths.Load(b)
			return open(t, path.(string))
		},
	})
}

func TestDifferential(t *testing.T) {
	t.Parallel()
	backendtest.Differential(t, map[string]func(*testing.T) lambdabiz.Backend{
		"sqlite": func(t *testing.T) lambdabiz.Backend { return open(t, filepath.Join(t.TempDir(), "test.db")) },
		"memory": func(*testing.T) lambdabiz.Backend {
			b := memory.New()
			return b
		},
	})
}

func open(t *testing.T, path string) lambdabiz.Backend {
	t.Helper()
	b, err := sqlite.Open(path)
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
