package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// The oldest version of the server that is supported, and a new one. Each test has a schema of its own, which is quicker there
// than a database.
func TestConformanceOnOtherVersions(t *testing.T) {
	t.Parallel()
	for _, major := range []int{standin.Oldest, 18} {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) {
			t.Parallel()
			url := standin.Shared(t, major).New(t) + "&pool_max_conns=3"
			var schemas sync.Map // by backend
			var made atomic.Int64
			open := func(t *testing.T, schema string) *postgres.Backend {
				t.Helper()
				b, err := postgres.Open(t.Context(), url, postgres.Config{Schema: schema})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = b.Close() })
				schemas.Store(b, schema)
				return b
			}
			fresh := func(t *testing.T) *postgres.Backend {
				t.Helper()
				return open(t, fmt.Sprint("test_", made.Add(1)))
			}
			backendtest.Run(t, backendtest.Config{
				Open: func(t *testing.T) lambdabiz.Backend { return fresh(t) },
				Reopen: func(t *testing.T, b lambdabiz.Backend) lambdabiz.Backend {
					schema, _ := schemas.Load(b)
					return open(t, schema.(string))
				},
			})
			t.Run("differential", func(t *testing.T) {
				t.Parallel()
				backendtest.Differential(t, map[string]func(*testing.T) lambdabiz.Backend{
					"postgres": func(t *testing.T) lambdabiz.Backend { return fresh(t) },
					"memory":   func(*testing.T) lambdabiz.Backend { return memory.New() },
				})
			})
		})
	}
}
