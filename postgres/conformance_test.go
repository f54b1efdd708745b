package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/postgres"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, func(t *testing.T) string { return database(t) }, open)
}

func TestDifferential(t *testing.T) {
	t.Parallel()
	backendtest.Differential(t, map[string]func(*testing.T) lambdabiz.Backend{
		"postgres": func(t *testing.T) lambdabiz.Backend { return open(t, database(t)) },
		"postgres, by two processes": func(t *testing.T) lambdabiz.Backend {
			url := database(t)
			return &spread{Backend: open(t, url), other: open(t, url)}
		},
		"memory": func(*testing.T) lambdabiz.Backend { return memory.New() },
	})
}

// conform runs the suite on databases that at makes.
func conform(t *testing.T, at func(*testing.T) string, open func(testing.TB, string) *postgres.Backend) {
	t.Helper()
	var urls sync.Map // of the databases, by backend
	backendtest.Run(t, backendtest.Config{
		Open: func(t *testing.T) lambdabiz.Backend {
			url := at(t)
			b := open(t, url)
			b.SetLeavePiece(1) // so that it may be cut between any two
			urls.Store(b, url)
			return b
		},
		Reopen: func(t *testing.T, b lambdabiz.Backend) lambdabiz.Backend {
			url, _ := urls.Load(b)
			return open(t, url.(string))
		},
	})
}

// spread is two backends on one database, of which each commits and reads in turn. The workers are the first one's.
type spread struct {
	*postgres.Backend

	other *postgres.Backend
	turn  int
}

func (s *spread) next() *postgres.Backend {
	if s.turn++; s.turn%2 == 0 {
		return s.Backend
	}
	return s.other
}

func (s *spread) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	return s.next().Commit(ctx, batch)
}

func (s *spread) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	return s.next().Load(ctx, id, runID)
}

func (s *spread) Leave(ctx context.Context, worker, beat int64) error {
	return s.next().Leave(ctx, worker, beat)
}

func (s *spread) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	return s.next().Purge(ctx, p)
}
