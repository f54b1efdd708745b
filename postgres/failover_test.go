package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// cluster is two servers, of which one follows the other, and a worker on them.
type cluster struct {
	*bundle
	primary, standby *standin.Server
}

func setupCluster(t *testing.T, how standin.Replication) *cluster {
	t.Helper()
	onlyOnPostgreSQL(t)
	primary := standin.Start(t, standin.Config{Quick: true})
	c := &cluster{primary: primary, standby: primary.Standby(t, how)}
	c.bundle = setupAt(t, standin.FailoverURL("postgres", c.primary, c.standby))
	return c
}

// failOver kills the primary and promotes its standby.
func (c *cluster) failOver() {
	c.t.Helper()
	ctx := context.Background()
	if err := errors.Join(c.primary.Kill(ctx), c.standby.Promote(ctx)); err != nil {
		c.t.Error(err)
	}
	c.primary, c.standby = c.standby, c.primary
}

// fallBehind ends an asynchronous standby when it has all that was written. A frozen one would not do: what is on the way to it
// it would still read.
func (c *cluster) fallBehind() {
	c.t.Helper()
	answer[bool](c.t, c.primary.URL("postgres"), `DO $$ DECLARE written pg_lsn := pg_current_wal_flush_lsn(); BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_stat_replication WHERE flush_lsn >= written) LOOP
			PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
		END LOOP;
	END $$`)
	if err := c.standby.Stop(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// failBack kills the primary, and promotes the standby that has fallen behind.
func (c *cluster) failBack() {
	c.t.Helper()
	if err := c.primary.Kill(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	if err := c.standby.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.failOver()
}

// answer runs a statement, and returns the only value, if there is one.
func answer[T any](t testing.TB, url, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
	}
	if rows.Close(); rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return v
}

const isThere = "SELECT EXISTS (SELECT FROM lambdabiz.runs WHERE id = $1)"

// The primary dies while a commit is on its way to it. What became of the commit is found on the server that has taken over, or
// it is applied there.
func TestACommitMeetsAFailOver(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Synchronous)
	met := map[bool]int{}
	rounds := campaign.Rounds(t, 4, 20)
	for round := range rounds {
		applied := round%2 == 0
		if round > 0 {
			if err := c.standby.Follow(t.Context(), c.primary, standin.Synchronous); err != nil {
				t.Fatal(err)
			}
		}
		id := fmt.Sprint("order-", round)
		ref := c.start(id)
		struck := false
		c.BeforeCommit(func(conn *pgx.Conn) {
			if struck {
				return
			}
			struck = true
			met[applied]++
			if applied {
				if _, err := conn.Exec(context.Background(), "COMMIT"); err != nil {
					t.Error(err)
				}
			}
			c.failOver()
		})
		began := time.Now()
		c.commit(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(1)}})
		c.BeforeCommit(nil)
		t.Logf("committed after %v, with the fail-over", time.Since(began))
		if n := len(c.load(id).Operations); n != 1 {
			t.Errorf("%s has %d operations", id, n)
		}
		if err := c.Renew(t.Context(), c.worker); err != nil {
			t.Error(err)
		}
	}
	if n := c.Losses(); n != 0 {
		t.Errorf("%d losses with a synchronous standby", n)
	}
	campaign.Report(t, "F25", []campaign.Count{
		{What: "fail-overs", N: rounds}, {What: "commits applied without an answer", N: met[true]},
		{What: "commits not applied", N: met[false]},
	})
}

// A primary that was taken for dead comes back, and takes writes that nobody will ever see. Who has seen the one that has taken
// over goes there, also with new connections, and who begins looks at all servers of the URL.
func TestAnOldPrimaryThatComesBackIsRefused(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Asynchronous)
	c.start("before")
	pool, err := pgxpool.New(t.Context(), c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	users, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = users.Close() }()
	c.fallBehind() // it has all: nothing is lost
	c.failBack()
	c.start("between")
	if _, err := users.Load(t.Context(), "between", ""); err != nil {
		t.Fatal(err)
	}
	if err := c.standby.Start(t.Context()); err != nil { // nobody has told it
		t.Fatal(err)
	}
	cut(t, c.primary)
	c.start("after")
	_, err = users.Load(t.Context(), "after", "")
	if err == nil || !strings.Contains(err.Error(), "another server has taken over") || !isTemporary(err) {
		t.Errorf("a pool that is led to the old primary: %v", err)
	}
	later := setupAt(t, c.url)
	later.start("by another process")
	for _, id := range []string{"between", "after", "by another process"} {
		if !answer[bool](t, c.primary.URL("postgres"), isThere, id) || answer[bool](t, c.standby.URL("postgres"), isThere, id) {
			t.Errorf("%s is not on the new primary, or on the old one", id)
		}
	}
	if err := c.primary.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Commit(t.Context(), []*lambdabiz.Commit{{At: c.now, Starts: []lambdabiz.RunStart{startOf("lost")}}})
	if err == nil || !strings.Contains(err.Error(), "another server has taken over") || !isTemporary(err) {
		t.Errorf("only the old primary is there: %v", err)
	}
}

// cut ends all connections of clients, and returns when they have ended.
func cut(t testing.TB, s *standin.Server) {
	t.Helper()
	answer[bool](t, s.URL("postgres"), `SELECT bool_and(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
}

func TestAStandbyAloneIsNoHome(t *testing.T) {
	t.Parallel()
	primary := standin.Start(t, standin.Config{Quick: true})
	standby := primary.Standby(t, standin.Asynchronous)
	_, err := postgres.Open(t.Context(), standby.URL("postgres"), postgres.Config{})
	if err == nil || !strings.Contains(err.Error(), "the server is a standby, which takes no writes") {
		t.Errorf("open a standby: %v", err)
	}
}

// A standby that lags takes over. What was acknowledged last is lost, and who has it in memory must not go on from there: the
// record would have a hole. It is told that it has lost its runs, at once, and goes on from what is there.
func TestAFailOverThatLosesSomethingMixesNothing(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Asynchronous)
	ref := c.start("a")
	c.commit(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(1)}})
	c.fallBehind()
	c.commit(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(2)}})
	gone := c.start("b")
	c.failBack()

	for _, lost := range []lambdabiz.RunRef{ref, gone} {
		v := c.commitAll(&lambdabiz.Commit{Run: &lost, Worker: c.worker, Operations: []lambdabiz.Operation{operation(3)}})
		wantErr(t, v[0].Err, lambdabiz.ErrFenced)
	}
	if n := c.Losses(); n != 1 {
		t.Errorf("%d losses were seen", n)
	}
	wantErr(t, c.Renew(t.Context(), c.worker), lambdabiz.ErrFenced)
	_, err := c.Claim(t.Context(), lambdabiz.ClaimRequest{Worker: c.worker, Names: []string{"Order"}, Limit: 1, Now: c.now})
	wantErr(t, err, lambdabiz.ErrFenced)
	_, err = c.Load(t.Context(), "b", "")
	wantErr(t, err, lambdabiz.ErrNotFound)

	c.worker = c.join("v1", "Order")
	claims := c.claim(10, 0)
	if len(claims.Runs) != 1 || len(claims.Runs[0].Operations) != 1 || claims.Runs[0].Crashes != 0 {
		t.Fatalf("claimed: %+v", claims.Runs)
	}
	ref = claims.Runs[0].Ref
	c.commit(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(2)}})
	if n := c.Losses(); n != 1 {
		t.Errorf("%d losses were seen", n)
	}
}

// A process has not written for more than a week, or not in one of its lanes, and a purge has removed the witness of what it has
// written last. After a fail-over that is no loss.
func TestWhatAPurgeHasRemovedIsNotLostByAFailOver(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Asynchronous)
	lastWeek := time.Since(time.Date(2025, 1, 9, 0, 0, 0, 0, time.UTC)).Milliseconds() << 22
	c.MakeNumbers(func() int64 { lastWeek++; return lastWeek })
	ref := c.start("a")
	c.MakeNumbers(nil)
	if _, err := c.Purge(t.Context(), lambdabiz.PurgeRequest{EndedBefore: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	if n := answer[int64](t, c.primary.URL("postgres"), "SELECT count(*) FROM lambdabiz.witnesses"); n != 0 {
		t.Fatalf("%d witnesses are left", n)
	}
	c.fallBehind() // it has all: nothing is lost
	c.failBack()
	c.commit(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(1)}})
	if n := c.Losses(); n != 0 {
		t.Errorf("%d losses were seen", n)
	}
}

// Somebody ends the wait of a commit for its synchronous standby: the server says COMMIT then, with a warning, though the
// standby does not have it.
func TestACommitWhoseWaitForTheStandbyIsEndedIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Synchronous)
	ref := c.start("a")
	if err := c.standby.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		v, err := c.Commit(context.Background(), []*lambdabiz.Commit{{
			Run: &ref, Worker: c.worker, At: c.now, Operations: []lambdabiz.Operation{operation(1)},
		}})
		if err == nil {
			err = v[0].Err
		}
		done <- err
	}()
	// waiting returns when a commit waits that began after the others.
	waiting := func(after int64) int64 {
		return answer[int64](t, c.primary.URL("postgres")+"&statement_timeout=30000", fmt.Sprintf(`DO $$ BEGIN
			WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'
				AND extract(epoch FROM xact_start) * 1000000 > %d) LOOP
				PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
			END LOOP;
		END $$`, after)) + answer[int64](t, c.primary.URL("postgres"),
			"SELECT (extract(epoch FROM xact_start) * 1000000)::bigint FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	}
	first := waiting(0)
	if !answer[bool](t, c.primary.URL("postgres"),
		"SELECT bool_and(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") {
		t.Fatal("it was not cancelled")
	}
	waiting(first) // who reads back waits
	select {
	case err := <-done:
		t.Errorf("the commit was acknowledged: %v", err)
	default:
	}
	if err := c.standby.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(c.load("a").Operations); n != 1 {
		t.Errorf("%d operations", n)
	}
}
