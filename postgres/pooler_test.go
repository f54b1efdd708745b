package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// modes are all ways in which the driver sends statements.
var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec,
	pgx.QueryExecModeSimpleProtocol,
}

// pooler is a server with PgBouncer in front of it, in transaction mode, with fewer connections than its clients have.
type pooler struct {
	server  *standin.Server
	bouncer *standin.PgBouncer
}

func startPooler(t *testing.T) *pooler {
	t.Helper()
	server := standin.Start(t, standin.Config{Quick: true, Settings: map[string]string{"max_connections": "400"}})
	return &pooler{server, server.PgBouncer(t, map[string]string{
		"default_pool_size": "2", "max_client_conn": "1000", "server_idle_timeout": "1", "max_db_connections": "2",
	})}
}

// database is an empty one with the tables, by its address through the pooler.
func (p *pooler) database(t *testing.T) string {
	t.Helper()
	direct, err := url.Parse(p.server.Copy(t, "tables", makeTables))
	if err != nil {
		t.Fatal(err)
	}
	return p.bouncer.URL(strings.TrimPrefix(direct.Path, "/"))
}

func TestConformanceBehindPgBouncer(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	conform(t, startPooler(t).database, open)
}

// The driver has five ways to send statements. All of them work, and behind a pooler as well: there even a pool that prepares
// statements does not, for this.
func TestEveryWayToSendStatementsWorks(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	p := startPooler(t)
	for where, at := range map[string]func(*testing.T) string{
		"direct": func(t *testing.T) string { return database(t) }, "behind PgBouncer": p.database,
	} {
		for _, mode := range modes {
			t.Run(fmt.Sprint(where, ", ", mode), func(t *testing.T) {
				t.Parallel()
				url := at(t)
				b := &bundle{Backend: over(t, url, mode), t: t, url: url, now: moment}
				b.worker = b.join("v1", "Order")
				b.exercise()
				workTogether(t, 20, b.Backend, over(t, url, mode))
			})
		}
	}
}

// The twin of the test above: what the driver does by itself does not work behind a pooler that keeps no account of statements.
func TestPgBouncerLosesWhatIsPrepared(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	at := startPooler(t).database(t)
	for i := range 2 {
		conn, err := pgx.Connect(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		_, err = conn.Exec(t.Context(), "SELECT $1::int", 1)
		if first := i == 0; first != (err == nil) {
			t.Errorf("the first: %v, with the error %v", first, err)
		}
	}
}

// exercise has every method do what it can, and looks at what few of them answer: the suite knows what is right.
func (b *bundle) exercise() {
	b.t.Helper()
	ids := b.runs()
	for _, f := range []lambdabiz.Filter{
		{}, {IDPrefix: "held"}, {Name: "Order"}, {Blocked: true}, {Paused: true}, {Status: []lambdabiz.Status{lambdabiz.StatusFailed}},
		{Tags: map[string]string{"a": "b"}}, {ScheduledAfter: b.now.Add(-time.Hour)}, {AllRuns: true}, {Limit: 2},
	} {
		page, err := b.List(b.t.Context(), f)
		if err != nil || f.Tags == nil && len(page.Runs) == 0 {
			b.t.Errorf("%+v: %d runs, %v", f, len(page.Runs), err)
		}
	}
	raise := func(id string) *lambdabiz.Commit {
		return &lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: id, Name: "e", Key: "k", Until: b.now.Add(time.Hour)}}}
	}
	for _, v := range b.commitAll(raise("held"), raise("later"), raise("later"), raise("parked"), raise("ended")) {
		if v.Err != nil {
			b.t.Error(v.Err)
		}
	}
	b.start("later")
	if n := len(b.load("later").Messages); n != 1 {
		b.t.Errorf("%d messages were kept", n)
	}
	if _, err := b.Info(b.t.Context(), "held", ""); err != nil {
		b.t.Error(err)
	}
	if claims := b.claim(10, 0); len(claims.Arrived) == 0 || len(claims.Runs) == 0 {
		b.t.Errorf("%d runs with news, %d claimed", len(claims.Arrived), len(claims.Runs))
	}
	ref := b.load("later")
	b.commit(&lambdabiz.Commit{
		Run: &lambdabiz.RunRef{ID: "later", RunID: ref.RunID, Fence: 1}, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)},
		Consumed: []int64{1}, Conditional: true, Seen: 1, Started: true, Progress: lambdabiz.Payload("1"),
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Next: &lambdabiz.RunStart{
			ID: "later", RunID: "another", Name: "Order", Claim: true, Tags: map[string]string{"a": "b"},
		}},
	})
	if err := errors.Join(b.Renew(b.t.Context(), b.worker), b.Leave(b.t.Context(), b.worker, 1)); err != nil {
		b.t.Error(err)
	}
	wantErr(b.t, b.Renew(b.t.Context(), b.worker), lambdabiz.ErrFenced)
	if n, err := b.Purge(b.t.Context(), lambdabiz.PurgeRequest{EndedBefore: b.now.Add(time.Hour)}); n == 0 || err != nil {
		b.t.Errorf("%d of %d runs purged, %v", n, len(ids), err)
	}
	if w, err := b.Workers(b.t.Context()); len(w) != 0 || err != nil {
		b.t.Errorf("%d workers, %v", len(w), err)
	}
}

// Three processes at work behind a pooler that has two connections for all of them: every batch is written.
func TestNoBatchFailsBehindPgBouncer(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	at := startPooler(t).database(t)
	workTogether(t, 200, open(t, at), open(t, at), over(t, at, 0))
}
