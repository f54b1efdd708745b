//go:build linux || darwin

package postgres_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// TestStandby tells the life of two servers.
func TestStandby(t *testing.T) {
	t.Parallel()
	a := postgres.Start(t, postgres.Config{})
	if got := ask[string](t, dial(t, a.URL("postgres")), "SHOW fsync"); got != "on" {
		t.Errorf("a server that is not quick does not wait for the disk: fsync is %s", got)
	}
	b := a.Standby(t, postgres.Asynchronous)
	exec(t, dial(t, a.URL("postgres")), "CREATE TABLE kept (no int)")
	if !ask[bool](t, dial(t, b.URL("postgres")), "SELECT pg_is_in_recovery()") {
		t.Error("the standby is a primary")
	}
	t.Run("a commit waits for a synchronous one alone", func(t *testing.T) { waitsForSynchronous(t, a, b) })
	t.Run("the standby goes on when the primary is killed", func(t *testing.T) { failsOver(t, a, b) })
}

// waitsForSynchronous freezes a standby of each kind.
func waitsForSynchronous(t *testing.T, a, b *postgres.Server) {
	t.Helper()
	ctx := t.Context()
	conn := dial(t, a.URL("postgres"))
	commit := func() error {
		_, err := conn.Exec(ctx, "INSERT INTO kept VALUES (0)")
		return err
	}
	if err := b.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if err := commit(); err != nil {
		t.Error(err)
	}
	if err := b.Follow(ctx, a, postgres.Synchronous); err != nil { // a frozen one too
		t.Fatal(err)
	}
	if err := b.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- commit() }()
	exec(t, dial(t, a.URL("postgres")), `DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep') LOOP
			PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
		END LOOP;
	END $$`)
	select {
	case err := <-done:
		t.Errorf("the commit does not wait: %v", err)
	default:
	}
	if err := b.Thaw(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// failsOver kills the primary twice: first the dead one follows the one that was promoted, then it comes back as a second
// primary.
func failsOver(t *testing.T, primary, standby *postgres.Server) {
	t.Helper()
	ctx := t.Context()
	at := postgres.FailoverURL("postgres", primary, standby)
	kill := func() {
		before := ask[int](t, dial(t, at), "SELECT count(*)::int FROM kept")
		exec(t, dial(t, at), "INSERT INTO kept VALUES (1)")
		if err := primary.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		if err := standby.Promote(ctx); err != nil {
			t.Fatal(err)
		}
		primary, standby = standby, primary
		if got := ask[int](t, dial(t, at), "SELECT count(*)::int FROM kept"); got != before+1 {
			t.Errorf("%d rows are left of %d", got, before+1)
		}
	}
	kill()
	if err := standby.Follow(ctx, primary, postgres.Synchronous); err != nil {
		t.Fatal(err)
	}
	kill()
	if err := standby.Start(ctx); err != nil {
		t.Fatal(err)
	}
	const timeline = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
	old, now := ask[string](t, dial(t, standby.URL("postgres")), timeline), ask[string](t, dial(t, primary.URL("postgres")), timeline)
	if old >= now {
		t.Errorf("the old primary is on timeline %s, the new one on %s", old, now)
	}
}
