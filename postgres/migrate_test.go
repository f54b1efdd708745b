package postgres_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
)

func TestManyProcessesMayBeginAtOnce(t *testing.T) {
	t.Parallel()
	url := standin.Database(t)
	var all sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		all.Go(func() {
			b, err := postgres.Open(t.Context(), url+"&pool_max_conns=1", home.config)
			if err == nil {
				_, err = b.Workers(t.Context())
				err = errors.Join(err, b.Close())
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestApplicationsWithASchemaEachShareADatabase(t *testing.T) {
	t.Parallel()
	url := standin.Database(t)
	for _, schema := range []string{"orders", "_bills2"} {
		b, err := postgres.Open(t.Context(), url, postgres.Config{Schema: schema, Portable: home.config.Portable})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		page, err := b.List(t.Context(), lambdabiz.Filter{})
		if err != nil || len(page.Runs) != 0 {
			t.Fatalf("%s: %d runs at first, %v", schema, len(page.Runs), err)
		}
		_, err = b.Commit(t.Context(), []*lambdabiz.Commit{{Starts: []lambdabiz.RunStart{startOf("a")}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamesOfSchemasAreChecked(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"Orders", "1a", `a"b`, "a.b", "a b", "a;drop", "ä", strings.Repeat("a", 51), "a@b"} {
		if _, err := postgres.New(nil, postgres.Config{Schema: schema}); err == nil || !strings.Contains(err.Error(), "check schema") {
			t.Errorf("%q: %v", schema, err)
		}
	}
}

// Programs of two versions work on one schema while the newer one is rolled out, unless a step says that the older one must not.
func TestTheProgramBeforeWorksOnTheNextSchema(t *testing.T) {
	t.Parallel()
	url := database(t)
	execute(t, url, "ALTER TABLE lambdabiz.runs ADD COLUMN more text")
	execute(t, url, "ALTER TABLE lambdabiz.meta ADD COLUMN more text")
	execute(t, url, "CREATE TABLE lambdabiz.others (no bigint PRIMARY KEY)")
	execute(t, url, "UPDATE lambdabiz.meta SET version = version + 1")
	setupAt(t, url).exercise()

	execute(t, url, "UPDATE lambdabiz.meta SET minimum = version")
	b, err := postgres.Open(t.Context(), url, home.config)
	if err == nil {
		_ = b.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "upgrade lambdabiz") {
		t.Fatalf("error %v, want one that says what to do", err)
	}
}

// Each step but the first adds what the program before it need not know, or says that it must not work any more.
func TestMigrationsOnlyAdd(t *testing.T) {
	t.Parallel()
	comment := regexp.MustCompile(`--.*`)
	adds := regexp.MustCompile(`^(CREATE TABLE|CREATE INDEX|ALTER TABLE \w+ ADD COLUMN \w+ \w+$)`)
	steps := postgres.Migrations()
	if len(steps) == 0 {
		t.Fatal("there are no migrations")
	}
	for i, step := range steps[1:] {
		if strings.HasPrefix(step, "-- minimum: ") {
			continue
		}
		for s := range strings.SplitSeq(comment.ReplaceAllString(step, ""), ";") {
			if s = strings.TrimSpace(s); s != "" && !adds.MatchString(s) {
				t.Errorf("migration %d does more than add: %s", i+2, s)
			}
		}
	}
	for _, c := range []struct {
		steps []string
		want  int
	}{{[]string{"a"}, 1}, {[]string{"a", "-- minimum: 2\nb", "c"}, 2}} {
		if got := postgres.MinimumOf(c.steps); got != c.want {
			t.Errorf("the minimum of %q is %d, want %d", c.steps, got, c.want)
		}
	}
}

// The portable mode makes the same tables, by statements that all of its servers understand.
func TestPortableTablesAreTheSame(t *testing.T) {
	t.Parallel()
	columns := func(portable bool) (all []string) {
		url := standin.Database(t)
		b, err := postgres.Open(t.Context(), url, postgres.Config{Portable: portable})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		err = b.On(t.Context(), func(conn *pgx.Conn) error {
			rows, err := conn.Query(t.Context(), `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
				FROM information_schema.columns WHERE table_schema = 'lambdabiz' AND column_name <> 'former' ORDER BY 1`)
			if err == nil {
				all, err = pgx.CollectRows(rows, pgx.RowTo[string])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if ours, portable := columns(false), columns(true); !slices.Equal(ours, portable) || len(ours) == 0 {
		t.Errorf("%d columns:\n%q, portable:\n%q", len(ours), ours, portable)
	}
}

// In the portable mode there is no lock that ends with its holder. One that is silent for too long is followed by another.
func TestWhoMigratesAndDiesIsFollowed(t *testing.T) {
	t.Parallel()
	url := standin.Database(t)
	// It has made a part of the tables.
	execute(t, url, `CREATE SCHEMA lambdabiz; CREATE TABLE lambdabiz.meta (one integer PRIMARY KEY, version integer NOT NULL,
		minimum integer NOT NULL, holder bigint NOT NULL, turn bigint NOT NULL); INSERT INTO lambdabiz.meta VALUES (1, 0, 1, 77, 3);
		CREATE TABLE lambdabiz.witnesses (no bigint PRIMARY KEY)`)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	b, err := postgres.New(pool, postgres.Config{Portable: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, b)
	b.SetMigratePatience(0)
	if w, err := b.Workers(t.Context()); err != nil || len(w) != 0 {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	execute(t, url, "UPDATE lambdabiz.meta SET holder = 77, version = 0")
	patient, err := postgres.New(pool, postgres.Config{Portable: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, patient)
	_, err = patient.Workers(ctx)
	wantErr(t, err, context.DeadlineExceeded)
}

// The portable mode says which servers it is for, and they are told from PostgreSQL.
func TestServersThatAreNoPostgreSQLAreTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ host, version, want string }{
		{"db", "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu", ""},
		{"db", "CockroachDB CCL v25.2.0 (x86_64-pc-linux-gnu)", "CockroachDB"},
		{"db", "PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64-pc-linux-gnu", "YugabyteDB"},
		{"a.dsql.us-east-1.on.aws", "PostgreSQL 16", "Aurora DSQL"},
	} {
		if got := postgres.Another(c.host, c.version); got != c.want {
			t.Errorf("%s on %s: %q, want %q", c.version, c.host, got, c.want)
		}
	}
}

// A backend over the application's own pool brings the schema up to date when it is used first, and leaves the pool open.
func TestAPoolOfOneConnectionOfTheApplicationsIsEnough(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), standin.Database(t)+"&pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	backend, err := postgres.New(pool, home.config)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	double := lambdabiz.Define("Double", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.Step(o, "double", func(context.Context) (int, error) { return 2 * n, nil })
	})
	if err := engine.Register(double); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	run, err := lambdabiz.Start(t.Context(), engine, double, "a", 21)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := run.Result(t.Context()); got != 42 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := backend.Close(); err != nil {
		t.Error(err)
	}
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("the pool: %v", err)
	}
}

func execute(t testing.TB, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url+"&session_replication_role=replica") // nothing refuses it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
