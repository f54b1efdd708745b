package fromcsharp_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/storetest"
)

// myBackend is where IOrchestrationFactory and IOrchestration are implemented for a home of one's own. This one does
// everything as another home does, and tells of each batch of commits.
type myBackend struct {
	lambdabiz.Backend // Describe, Join, Renew, Leave, Workers, Claim, Load, List, Purge, Close
	log               *slog.Logger
}

func (b *myBackend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	verdicts, err := b.Backend.Commit(ctx, batch)
	b.log.Debug("commit", "runs", len(batch), "error", err)
	return verdicts, err
}

// myStore is where IPersistantStore is implemented. This one keeps everything as another store does, and tells of each
// change of a status.
type myStore struct {
	lambdabiz.Store // Reserve, Get, List, Keep, Kept, Drop, Delete, Close
	changed         func(id string, status lambdabiz.Status)
}

// Put is LogStateAsync and SetStatus.
func (s *myStore) Put(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
	s.changed(snapshot.ID, snapshot.Status)
	return s.Store.Put(ctx, snapshot)
}

func TestMyBackend(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Config{Open: func(*testing.T) lambdabiz.Backend {
		inner := memory.New()
		return &myBackend{inner, slog.New(slog.DiscardHandler)}
	}})
}

func TestMyStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{Open: func(*testing.T) lambdabiz.Store {
		return &myStore{memory.NewStore(), func(string, lambdabiz.Status) {}}
	}})
}
