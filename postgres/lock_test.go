package postgres_test

import (
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
		batch = append(batch, &lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
	}
	conn, err := pgx.Connect(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	users, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Exec(t.Context(), "SELECT 1 FROM lambdabiz.runs WHERE id = 'held' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
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
