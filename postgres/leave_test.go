package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
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
			if complaint := removedOnTheWay(t, take, func(*postgres.Backend) {}); complaint != "" {
				t.Error(complaint)
			}
		})
	}
}

// removedOnTheWay removes a worker as it commits, and says what it holds then.
func removedOnTheWay(t *testing.T, take func(b *bundle), sabotage func(*postgres.Backend)) (complaint string) {
	t.Helper()
	b := setup(t)
	sabotage(b.Backend)
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
			complaint = fmt.Sprintf("%s is held by worker %d, which is not there", r.ID, r.Worker)
		}
	}
	return complaint
}

// Leave frees runs in pieces. When it is cut between two, or loses an answer, the worker can write nothing all the same, and the
// next who joins frees the rest.
func TestALeaveThatIsCutIsFinished(t *testing.T) {
	t.Parallel()
	if fault := cutLeaves(t, func(*postgres.Backend) {}); fault != "" {
		t.Error(fault)
	}
}

func TestSabotageOfALeaveThatIsCut(t *testing.T) {
	t.Parallel()
	for what, without := range map[string]func(*postgres.Backend){
		"the look for what others have left": (*postgres.Backend).WithoutOrphans,
		"the end of the right to write":      (*postgres.Backend).WithoutLanes,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F7", what, cutLeaves(t, without))
		})
	}
}

// cutLeaves cuts Leave at each of its commits, and says what is wrong then.
func cutLeaves(t *testing.T, sabotage func(*postgres.Backend)) (fault string) {
	t.Helper()
	for cut := 1; ; cut++ {
		b := setup(t)
		sabotage(b.Backend)
		var held []lambdabiz.RunRef
		for i := range 5 {
			held = append(held, b.start(fmt.Sprint("order-", i)))
		}
		other := open(t, b.url)
		other.SetLeavePiece(2)
		sabotage(other)
		commits := 0
		other.BeforeCommit(func(conn *pgx.Conn) {
			if commits++; commits >= cut { // one alone is done again
				_ = conn.Close(t.Context())
			}
		})
		left := other.Leave(t.Context(), b.worker, 0)
		other.BeforeCommit(nil)
		if left == nil {
			return fault
		}
		if b.count("SELECT count(*) FROM lambdabiz.workers") == 0 {
			for _, ref := range held {
				v := b.commitAll(&lambdabiz.Commit{Worker: b.worker, Run: &ref, Operations: []lambdabiz.Operation{operation(1)}})[0]
				if !errors.Is(v.Err, lambdabiz.ErrFenced) {
					fault = fmt.Sprintf("cut at commit %d: a removed worker writes %s: %v", cut, ref.ID, v.Err)
				}
			}
		} else if err := other.Leave(t.Context(), b.worker, 0); err != nil {
			t.Fatal(err)
		}
		b.worker = b.join("v1", "Order")
		if claims := b.claim(10, 0); len(claims.Runs) != 5 {
			fault = fmt.Sprintf("cut at commit %d: %d of 5 runs are due", cut, len(claims.Runs))
		}
	}
}

// waitUntilWaitedFor returns when somebody waits for a lock of a connection, or when ended is closed.
func waitUntilWaitedFor(t testing.TB, url string, pid uint32, ended <-chan struct{}) {
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
