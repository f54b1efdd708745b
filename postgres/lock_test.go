package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// A user's transaction that holds the row of one run keeps nobody else's commits from being applied.
func TestARowThatSomebodyHoldsStopsItsOwnCommitsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.SetLockTimeout(20 * time.Millisecond)
	var batch []*lambdabiz.Commit
	ids := []string{"a", "b", "held", "c", "d"}
	for _, id := range ids {
		ref := b.start(id)
		batch = append(batch, &lambdabiz.Commit{
			Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}, Progress: lambdabiz.Payload("half"),
		})
	}
	users := b.usersHold("held")
	for i, v := range b.commitAll(batch...) {
		if held := ids[i] == "held"; held != (v.Err != nil) || held && !isTemporary(v.Err) {
			t.Errorf("commit of %s: %v", ids[i], v.Err)
		}
	}
	if err := users.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.commit(batch[2])
	for _, id := range ids {
		if n := len(b.load(id).Operations); n != 1 {
			t.Errorf("%s has %d operations", id, n)
		}
	}
}

// A batch is halved for the sake of a row that somebody holds, and nobody can find out what has become of a half: that is what the
// batch is told, for a verdict says that a commit was not applied.
func TestAHalfOfUnknownOutcomeIsNoVerdict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.SetLockTimeout(20 * time.Millisecond)
	var batch []*lambdabiz.Commit
	for _, id := range []string{"held", "a"} {
		b.start(id)
		batch = append(batch, &lambdabiz.Commit{At: b.now, Raises: []lambdabiz.Raise{{ID: id, Name: "paid"}}})
	}
	users := b.usersHold("held")
	b.SetReadBackPatience(time.Nanosecond)
	b.BeforeCommit(func(conn *pgx.Conn) { _ = conn.Close(t.Context()) })
	verdicts, err := b.Commit(t.Context(), batch)
	if !errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
		t.Errorf("the batch is told %+v, %v", verdicts, err)
	}
	if err := users.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A user's transaction that holds the row of one run keeps nobody from taking over the others of a dead worker.
func TestARowThatSomebodyHoldsStopsTheTakeOverOfItsRunOnly(t *testing.T) {
	onlyOnPostgreSQL(t) // it needs SKIP LOCKED
	t.Parallel()
	b := setup(t)
	ids := []string{"a", "b", "held", "c", "d"}
	for _, id := range ids {
		b.start(id)
	}
	users := b.usersHold("held")
	other := setupAt(t, b.url)
	other.SetLockTimeout(20 * time.Millisecond)
	if err := other.Leave(t.Context(), b.worker, 0); !isTemporary(err) {
		t.Errorf("one run is held: %v", err)
	}
	other.join("v1", "Order") // though one run is held
	if claims := other.claim(10, 0); len(claims.Runs) != len(ids)-1 {
		t.Errorf("%d runs of %d are taken over", len(claims.Runs), len(ids)-1)
	}
	if err := users.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Leave(t.Context(), b.worker, 0); err != nil {
		t.Fatal(err)
	}
	if claims := other.claim(10, 0); len(claims.Runs) != 1 || claims.Runs[0].ID != "held" {
		t.Errorf("the last one: %+v", claims.Runs)
	}
}

// usersHold is an open transaction of a user's that holds the row of a run.
func (b *bundle) usersHold(id string) pgx.Tx {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) })
	users, err := conn.Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := users.Exec(b.t.Context(), "SELECT 1 FROM lambdabiz.runs WHERE id = $1 FOR UPDATE", id); err != nil {
		b.t.Fatal(err)
	}
	return users
}
