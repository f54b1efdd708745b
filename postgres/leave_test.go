package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// A worker is removed while it takes a run, or starts one for itself. It must not hold the run then: nobody would ever take it
// over from a worker that is not there.
func TestARemovedWorkerHoldsNothingThatWasOnItsWay(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(b *bundle){
		"claim": func(b *bundle) {
			if claims := b.claim(1, 0); len(claims.Runs) != 1 {
				b.t.Errorf("%d runs claimed", len(claims.Runs))
			}
		},
		"start": func(b *bundle) { b.start("b") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.SetLockTimeout(0)
			s := startOf("a")
			s.Claim = false
			b.commit(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s}})
			other := open(t, b.url)
			other.SetLockTimeout(0)

			left := make(chan error, 1)
			leaving := false
			b.BeforeCommit(func(conn *pgx.Conn) {
				if leaving {
					return
				}
				leaving = true
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					left <- other.Leave(context.Background(), b.worker, -1)
				}()
				waitUntilWaitedFor(t, b.url, conn.PgConn().PID(), ended)
			})
			take(b)
			if err := <-left; err != nil {
				t.Fatal(err)
			}
			page, err := b.List(t.Context(), lambdabiz.Filter{})
			if err != nil || len(page.Runs) == 0 {
				t.Fatalf("%d runs, %v", len(page.Runs), err)
			}
			for _, r := range page.Runs {
				if r.Worker != 0 {
					t.Errorf("%s is held by worker %d, which is not there", r.ID, r.Worker)
				}
			}
		})
	}
}

// waitUntilWaitedFor returns when somebody waits for a lock of a connection, or when ended is closed.
func waitUntilWaitedFor(t *testing.T, url string, pid uint32, ended <-chan struct{}) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for waiting := false; !waiting; {
		select {
		case <-ended:
			return
		default:
		}
		// The server tells nobody, so it is asked until it is so.
		err := conn.QueryRow(context.Background(), `SELECT EXISTS (SELECT 1 FROM pg_locks
			WHERE NOT granted AND $1::int = ANY(pg_blocking_pids(pid)))`, pid).Scan(&waiting)
		if err != nil {
			t.Error(err)
			return
		}
	}
}
