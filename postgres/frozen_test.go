package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// A process is frozen in the middle of a transaction, with its lane and the rows of its runs. The server ends the transaction,
// so that others can take over, and what the process then would have committed is refused.
func TestAProcessThatIsFrozenInATransactionIsTakenOverFrom(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	b.SetPatience(time.Minute, 500*time.Millisecond)
	other := open(t, b.url)
	ref := b.start("a")
	frozen := false
	b.BeforeCommit(func(*pgx.Conn) {
		if frozen {
			return
		}
		frozen = true
		if err := other.Leave(context.Background(), b.worker, 0); err != nil {
			t.Errorf("take over: %v", err)
		}
	})
	v := b.commitAll(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
	wantErr(t, v[0].Err, lambdabiz.ErrFenced)
	if record := b.load("a"); record.Worker != 0 || len(record.Operations) != 0 {
		t.Errorf("worker %d holds it, with %d operations", record.Worker, len(record.Operations))
	}
}

// After a restart of the server all connections of the pool are dead. Nobody hears of it.
func TestCallsAfterConnectionsWereEndedGoOnWithOthers(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true})
	b := setupAt(t, server.URL("postgres"))
	ref := b.start("a")
	for round, end := range []func(){
		func() { cut(t, server) },
		func() {
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		end()
		b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(int64(round + 1))}})
		end()
		if n := len(b.load("a").Operations); n != round+1 {
			t.Errorf("%d operations", n)
		}
		end()
		if err := b.Renew(t.Context(), b.worker); err != nil {
			t.Error(err)
		}
		end()
		b.claim(1, 0)
		end()
		if page, err := b.List(t.Context(), lambdabiz.Filter{}); err != nil || len(page.Runs) != 1 {
			t.Errorf("%d runs, %v", len(page.Runs), err)
		}
		end()
		if all, err := b.Workers(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%d workers, %v", len(all), err)
		}
		end()
		b.join("v2", "Order")
		if err := b.Leave(t.Context(), b.join("v2", "Order"), -1); err != nil {
			t.Error(err)
		}
		end()
		if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{}); n != 0 || err != nil {
			t.Errorf("%d purged, %v", n, err)
		}
		execute(t, b.url, "DELETE FROM lambdabiz.workers WHERE info LIKE '%v2%'")
	}
}
