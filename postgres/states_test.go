package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

func connect(ctx context.Context, url string) (*pgx.Conn, error) { return pgx.Connect(ctx, url) }

// Somebody has dropped what the schema needs. The error says so, and how it is mended; when it is, all goes on.
func TestWhatIsMissingInTheSchemaIsSaid(t *testing.T) {
	t.Parallel()
	for _, f := range []struct{ name, breaks, mends string }{
		{"a table", "ALTER TABLE lambdabiz.operations RENAME TO gone", "ALTER TABLE lambdabiz.gone RENAME TO operations"},
		{"a column", "ALTER TABLE lambdabiz.inbox RENAME payload TO gone", "ALTER TABLE lambdabiz.inbox RENAME gone TO payload"},
		{"the schema", "ALTER SCHEMA lambdabiz RENAME TO gone", "ALTER SCHEMA gone RENAME TO lambdabiz"},
		{"an index", "DROP INDEX lambdabiz.runs_latest", "CREATE UNIQUE INDEX runs_latest ON lambdabiz.runs (id) WHERE latest"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			if f.name == "an index" {
				onlyOnPostgreSQL(t) // a constraint of the table
			}
			b := setup(t)
			ref := b.start("a")
			b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "a", Name: "e"}}})
			execute(t, b.url, f.breaks)
			commits := []*lambdabiz.Commit{
				{Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)}, Fetch: true},
				{At: b.now, Starts: []lambdabiz.RunStart{{ID: "b", RunID: "r", Name: "Order"}}},
			}
			_, err := b.Commit(t.Context(), commits)
			if err == nil || !strings.Contains(err.Error(), "restore what version") {
				t.Errorf("it says %v", err)
			}
			execute(t, b.url, f.mends)
			for i, v := range b.commitAll(commits...) {
				if v.Err != nil {
					t.Errorf("commit %d: %v", i, v.Err)
				}
			}
			if n := len(b.load("a").Operations); n != 1 {
				t.Errorf("%d operations", n)
			}
		})
	}
}

// A role needs the rights to read and write the tables, and to make nothing. What it lacks is said.
func TestTheRightsThatARoleNeeds(t *testing.T) {
	t.Parallel()
	at := database(t)
	role := "role_" + suffix(t, at)
	execute(t, at, "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'")
	t.Cleanup(func() {
		answer[bool](t, at, "DROP OWNED BY "+role)
		answer[bool](t, at, "DROP ROLE "+role)
	})
	own := changed(t, at, func(u *url.URL) { u.User = url.UserPassword(role, "secret") })
	_, err := postgres.Open(t.Context(), own, postgres.Config{})
	if err == nil || !strings.Contains(err.Error(), "permission denied") || !strings.Contains(err.Error(), "GRANT") {
		t.Errorf("without rights: %v", err)
	}
	_, err = postgres.Open(t.Context(), own, postgres.Config{Schema: "another"})
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("without the right to create a schema: %v", err)
	}
	execute(t, at, "GRANT USAGE ON SCHEMA lambdabiz TO "+role)
	execute(t, at, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lambdabiz TO "+role)
	b := setupAt(t, own)
	ref := b.start("a")
	b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
	if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: "a"}); n != 1 || err != nil {
		t.Errorf("%d purged, %v", n, err)
	}
}

// A full disk is nobody's fault but the server's: it is waited for, and what was to be written is written then.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("a")
	fill(t, b.url, disk)
	c := newCrew(t, time.Minute, openAll(t, b.url, 2)...)
	runs := c.start(c.add, 10)
	fill(t, b.url, diskFull)
	v, err := b.Commit(t.Context(), []*lambdabiz.Commit{{
		Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)},
	}})
	if !isTemporary(err) || !strings.Contains(err.Error(), "No space left on device") {
		t.Errorf("a commit: %v, %v", v, err)
	}
	if n := len(b.load("a").Operations); n != 0 {
		t.Errorf("%d operations", n)
	}
	fill(t, b.url, room)
	b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
	for _, run := range runs {
		if err := c.engines[0].RaiseEvent(t.Context(), run.ID(), "answer", 10); err != nil {
			t.Error(err)
		}
	}
	c.results(runs, 11)
}

// fill runs several statements at once.
func fill(t testing.TB, url, sql string) {
	t.Helper()
	conn, err := connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// Connections are ended at random while two workers work, by an administrator or a firewall. No orchestration notices.
func TestConnectionsThatEndAtRandomLoseNothing(t *testing.T) {
	t.Parallel()
	url := database(t)
	c := newCrew(t, time.Minute, openAll(t, url, 2)...)
	random := campaign.Random(campaign.Seed(t), 0)
	enough, ended := make(chan struct{}), make(chan struct{})
	cuts := 0
	go func() {
		defer close(ended)
		conn, err := connect(context.Background(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		for {
			select {
			case <-enough:
				return
			case <-time.After(time.Duration(random.IntN(400)) * time.Millisecond):
			}
			n := 0
			err := conn.QueryRow(context.Background(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.3`).Scan(&n)
			if err != nil {
				t.Error(err)
				return
			}
			cuts += n
		}
	}()
	orchestrations := campaign.Rounds(t, 40, 2000)
	c.work(orchestrations)
	close(enough)
	<-ended
	campaign.Report(t, "F27", []campaign.Count{{What: "cuts", N: cuts}, {What: "orchestrations ended", N: orchestrations}})
}

// The server has no room for another connection: what wants one is told so, and goes on when there is room.
func TestAServerWithoutRoomForConnectionsIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true, Settings: map[string]string{"max_connections": "10"}})
	b := setupAt(t, server.URL("postgres"))
	cut(t, server)
	var all []*pgx.Conn
	for {
		conn, err := connect(t.Context(), server.URL("postgres"))
		if err != nil {
			break
		}
		all = append(all, conn)
	}
	start := &lambdabiz.Commit{At: b.now, Starts: []lambdabiz.RunStart{{ID: "a", RunID: "r", Name: "Order"}}}
	_, err := b.Commit(t.Context(), []*lambdabiz.Commit{start})
	if !isTemporary(err) || !strings.Contains(err.Error(), "too many clients") {
		t.Errorf("with %d connections of others: %v", len(all), err)
	}
	for _, conn := range all {
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := persist(t.Context(), func() error { // the server notices a little later
		_, err := b.Commit(t.Context(), []*lambdabiz.Commit{start})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	b.load("a")
}

// An administrator limits statements, waits for locks and idle transactions of a role, closely.
func TestTimeoutsOfARoleLoseNothing(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true, Settings: map[string]string{
		"statement_timeout": "1s", "lock_timeout": "5ms", "idle_in_transaction_session_timeout": "50ms",
	}})
	newCrew(t, time.Minute, openAll(t, server.URL("postgres"), 2)...).work(30)
}

// An answer is cut at any byte. What became of a commit is found out, or it is made again, and once.
func TestAnswersThatAreCutAtAnyByte(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true})
	proxy := server.Proxy(t)
	b := setupAt(t, proxy.URL("postgres"))
	random := campaign.Random(campaign.Seed(t), 0)
	rounds := campaign.Rounds(t, 40, 1000)
	commit := func(c *lambdabiz.Commit) { // a connection that is cut while it is made has done nothing
		t.Helper()
		if err := persist(t.Context(), func() error {
			v, err := b.Commit(t.Context(), []*lambdabiz.Commit{c})
			if err == nil {
				err = v[0].Err
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range rounds {
		id := fmt.Sprint("order-", round)
		ref := b.start(id)
		before := proxy.Cuts()
		proxy.CutAfter(random.IntN(3000))
		number := int64(0)
		for number < 4 || proxy.Cuts() == before { // until it has struck
			number++
			commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(number)}})
			commit(&lambdabiz.Commit{At: b.now, Raises: []lambdabiz.Raise{{ID: id, Name: "e"}}})
		}
		if record := b.load(id); len(record.Operations) != int(number) || len(record.Messages) != int(number) {
			t.Fatalf("%s has %d operations and %d events, of %d each", id, len(record.Operations), len(record.Messages), number)
		}
	}
	campaign.Report(t, "F3", []campaign.Count{{What: "cuts", N: proxy.Cuts()}})
}

// The machine of the server is gone without a word: connections stay open, and nobody answers on them.
func TestConnectionsThatNobodyAnswersOnAreLeft(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true})
	proxy := server.Proxy(t)
	b := setupAt(t, proxy.URL("postgres"))
	b.SetPatience(2*time.Second, time.Second)
	b.SetListenPatience(50*time.Millisecond, 300*time.Millisecond)
	wake := b.Wake()
	<-wake // it listens
	ref := b.start("a")
	if n := proxy.Strand(); n < 2 {
		t.Fatalf("%d connections are stranded", n)
	}
	began := time.Now()
	err := persist(t.Context(), func() error {
		v, err := b.Commit(t.Context(), []*lambdabiz.Commit{{
			Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)},
		}})
		if err == nil {
			err = v[0].Err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("committed after %v", time.Since(began))
	<-wake // it listens again
	other := open(t, server.URL("postgres"))
	c := &lambdabiz.Commit{At: b.now, Starts: []lambdabiz.RunStart{{ID: "b", RunID: "r", Name: "Order"}}}
	if _, err := other.Commit(t.Context(), []*lambdabiz.Commit{c}); err != nil {
		t.Fatal(err)
	}
	<-wake
	campaign.Report(t, "F26", []campaign.Count{{What: "commits on connections that are half open", N: 1}})
}

// Each answer comes a little later: all ends.
func TestAServerThatAnswersSlowlyIsNotLeft(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true})
	proxy := server.Proxy(t)
	backends := openAll(t, proxy.URL("postgres"), 2)
	proxy.Delay(5 * time.Millisecond)
	newCrew(t, time.Minute, backends...).work(20)
}

// The way is encrypted, and the server is who it says: a certificate of another authority is refused in words.
func TestTheServerIsVerified(t *testing.T) {
	t.Parallel()
	server := standin.Start(t, standin.Config{Quick: true, TLS: true})
	at := strings.Replace(server.URL("postgres"), "sslmode=disable", "sslmode=verify-full&sslrootcert=", 1)
	b, err := postgres.Open(t.Context(), at+server.Authority(), postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	encrypted := false
	err = b.On(t.Context(), func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted)
	})
	if err != nil || !encrypted {
		t.Errorf("encrypted: %t, %v", encrypted, err)
	}
	other := standin.Start(t, standin.Config{Quick: true, TLS: true})
	_, err = postgres.Open(t.Context(), at+other.Authority(), postgres.Config{})
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("the certificate is another authority's: %v", err)
	}
}
