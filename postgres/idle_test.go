package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// An idle worker asks the server at most 30 times a minute. That takes a minute, so it is looked at in campaigns only; in the
// ordinary run TestAWorkerThatIsToldAsksSeldom counts calls in virtual time.
func TestAnIdleWorkerAsksSeldom(t *testing.T) {
	t.Parallel()
	if campaign.Rounds(t, 0, 1000) == 0 {
		t.Skip("it takes more than a minute: set " + campaign.CyclesVariable)
	}
	const seconds = 60
	b := setup(t)
	if err := b.Leave(t.Context(), b.worker, -1); err != nil {
		t.Fatal(err)
	}
	engine, err := lambdabiz.New(b.Backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	order := lambdabiz.Define("Order", func(lambdabiz.Context, int) (int, error) { return 0, nil })
	if err := engine.Register(order); err != nil {
		t.Fatal(err)
	}
	err = engine.RunWhile(t.Context(), func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, engine, order, "warm-up", 1)
		if err != nil {
			return err
		}
		if _, err := run.Result(ctx); err != nil {
			return err
		}
		pause(ctx, 15*time.Second) // a connection that is idle tells of what it has done within ten seconds
		before := transactions(t, b.url)
		pause(ctx, time.Duration(seconds)*time.Second)
		n := transactions(t, b.url) - before
		t.Logf("%d transactions in %d s", n, seconds)
		if n > 30 {
			t.Errorf("%d transactions in %d s, want 30 a minute at most", n, seconds)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// transactions is how many there have been in a database. It is asked in another one.
func transactions(t *testing.T, url string) (n int) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	name := config.Database
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	err = conn.QueryRow(context.Background(),
		"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1", name).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
