package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// A test of faults: the primary is killed while a standby follows it, and the standby goes on.
func Example() { //nolint:testableexamples // it needs a server
	test := func(t *testing.T) {
		t.Helper()
		ctx := t.Context()
		a := postgres.Start(t, postgres.Config{Quick: true})
		b := a.Standby(t, postgres.Synchronous)
		url := postgres.FailoverURL("postgres", a, b) // leads to whichever can be written to

		if err := a.Kill(ctx); err != nil { // as the kernel does when there is no memory left
			t.Fatal(err)
		}
		if err := b.Promote(ctx); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	testing.Main(nil, []testing.InternalTest{{Name: "failover", F: test}}, nil, nil)
}
