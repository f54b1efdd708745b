package process_test

import (
	"context"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// interrupted ends a context as soon as a worker has joined.
type interrupted struct {
	*sqlite.Backend
	interrupt func()
}

func (i *interrupted) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	i.interrupt()
	return i.Backend.Workers(ctx)
}

// TestShutdownDuringJoinLeavesNoWorkerBehind: whatever Run returns, its worker is not on the list.
func TestShutdownDuringJoinLeavesNoWorkerBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	backend, err := sqlite.Open(b.file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e, err := lambdabiz.New(&interrupted{backend, cancel}, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(script); err != nil {
		t.Fatal(err)
	}
	t.Logf("Run returned %v", e.Run(ctx))
	workers, err := b.client.Workers(t.Context())
	if err != nil || len(workers) > 0 {
		t.Errorf("left behind are %+v, error %v", workers, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
