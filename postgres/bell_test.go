package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// What one process changes wakes the workers of another one, which does not ask.
func TestChangesByOtherProcessesAreHeard(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	wake := b.Wake()
	<-wake // it listens
	other := open(t, b.url)
	for _, c := range []lambdabiz.Commit{
		{Starts: []lambdabiz.RunStart{{ID: "a", RunID: "r", Name: "Order"}}},
		{Raises: []lambdabiz.Raise{{ID: "a", Name: "e"}}},
		{Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlTerminate, ID: "b"}, {Kind: lambdabiz.ControlResume, ID: "a"}}},
	} {
		c.At = b.now
		if _, err := other.Commit(t.Context(), []*lambdabiz.Commit{&c}); err != nil {
			t.Fatal(err)
		}
		<-wake
	}
}

// When the connection for notices breaks, another one is made, and what may have come meanwhile is asked for.
func TestABrokenListenerListensAgain(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	wake := b.Wake()
	<-wake
	ended := 0
	err := b.On(t.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&ended)
	})
	if err != nil || ended != 1 {
		t.Fatalf("%d connections that listen were ended, %v", ended, err)
	}
	<-wake // it listens again
	other := open(t, b.url)
	c := &lambdabiz.Commit{At: b.now, Starts: []lambdabiz.RunStart{{ID: "a", RunID: "r", Name: "Order"}}}
	if _, err := other.Commit(t.Context(), []*lambdabiz.Commit{c}); err != nil {
		t.Fatal(err)
	}
	<-wake
}
