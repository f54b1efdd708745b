package postgres_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// byName are checks by their names.
func byName(checks []postgres.Check) map[string]postgres.Check {
	all := map[string]postgres.Check{}
	for _, c := range checks {
		all[c.Name] = c
	}
	return all
}

// What doctor looks for is what the migrations have made, no more and no less.
func TestChecksKnowAllTablesAndIndexes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want, indexes := postgres.Relations()
	want = append(want, indexes...)
	var got []string
	err := b.On(t.Context(), func(conn *pgx.Conn) error {
		rows, err := conn.Query(t.Context(), `SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
			WHERE n.nspname = 'lambdabiz' AND c.relkind IN ('r', 'i')`)
		if err != nil {
			return err
		}
		got, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("there are\n%v\nand it looks for\n%v", got, want)
	}
	for _, c := range postgres.CheckDatabase(t.Context(), b.url, postgres.Config{}) {
		if c.Err != nil || c.Warning != "" && c.Name != "settings" { // the tests do without fsync
			t.Errorf("%+v", c)
		}
	}
}

func TestChecksWarnOfWhatMakesCommitsSlow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("x")
	b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "x", Name: "e", Key: "k"}}})
	conn, err := pgx.Connect(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	statements := []string{"UPDATE lambdabiz.meta SET version = version"}
	if standin.Shared(t, 0).Major() >= 15 { // 14 tells its statistics when it likes
		statements = append(statements, "SELECT pg_stat_force_next_flush()")
	}
	for _, s := range append(statements, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1") {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	checks := byName(postgres.CheckStrictly(t.Context(), b.url))
	for name, words := range map[string]string{
		"snapshots": "no dead row of any table can be removed",
		"vacuum":    "autovacuum does not keep up",
		"inbox":     "a holder does not ask for its messages",
	} {
		if !strings.Contains(checks[name].Warning, words) && (name != "vacuum" || len(statements) > 1) {
			t.Errorf("%s: %+v", name, checks[name])
		}
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	checks = byName(postgres.CheckDatabase(t.Context(), b.url, postgres.Config{}))
	if c := checks; c["snapshots"].Warning != "" || c["vacuum"].Warning != "" {
		t.Errorf("%+v", c)
	}
}

// What a fail-over keeps depends on the standby.
func TestChecksSayWhatAFailOverKeeps(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true})
	url := server.URL("postgres")
	b := open(t, url)
	if err := b.Renew(t.Context(), 1); !errors.Is(err, lambdabiz.ErrFenced) { // the tables are there
		t.Fatal(err)
	}
	look := func() postgres.Check {
		return byName(postgres.CheckDatabase(t.Context(), url, postgres.Config{}))["standby"]
	}
	if c := look(); c.Detail != "none" || c.Warning != "" || c.Err != nil {
		t.Errorf("without a standby: %+v", c)
	}
	standby := server.Standby(t, standin.Asynchronous)
	if c := look(); !strings.Contains(c.Warning, "none is synchronous") || !strings.Contains(c.Detail, "streaming async") {
		t.Errorf("with one that is not synchronous: %+v", c)
	}
	for _, k := range postgres.CheckDatabase(t.Context(), standby.URL("postgres"), postgres.Config{}) {
		if k.Name == "server" && (k.Err == nil || !strings.Contains(k.Err.Error(), "target_session_attrs=read-write")) {
			t.Errorf("of a standby: %+v", k)
		}
	}
	if err := server.Set(t.Context(), "synchronous_standby_names", "nobody"); err != nil {
		t.Fatal(err)
	}
	if c := look(); c.Err == nil || !strings.Contains(c.Err.Error(), "every commit waits for it") {
		t.Errorf("without the one that commits wait for: %+v", c)
	}
	if err := standby.Follow(t.Context(), server, standin.Synchronous); err != nil {
		t.Fatal(err)
	}
	if c := look(); c.Warning != "" || c.Err != nil || !strings.Contains(c.Detail, "sync") {
		t.Errorf("with a synchronous one: %+v", c)
	}
}

func TestAURLThatCannotBeReadIsNotShown(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"mysql://u:geheim@h/d", "postgres://u:geh@eim@h/d", "postgres://u:geh/eim@h/d", "postgres://u:geh?eim@h/d",
		"postgres://u:geh#eim@h/d",
		"postgres://u:geheim@h:70000x/d", "postgres://u:geheim@h/d?sslmode=geheim", "postgres://u:%zzgeheim@h/d",
		"postgres://u:geheim@h/d?pool_max_conns=many", "host=h password=geheim port=x", "geheim",
	} {
		_, err := postgres.Open(t.Context(), url, postgres.Config{})
		if !errors.Is(err, postgres.ErrURL) {
			t.Errorf("%s: %v", url, err)
			continue
		}
		for _, part := range []string{"u:", "eim", "geh"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error has a part of it: %v", url, err)
			}
		}
		checks := postgres.CheckDatabase(t.Context(), url, postgres.Config{})
		if len(checks) != 1 || !errors.Is(checks[0].Err, postgres.ErrURL) {
			t.Errorf("%s: %+v", url, checks)
		}
	}
}
