package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

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
			b, err := postgres.Open(t.Context(), url+"&pool_max_conns=1", postgres.Config{})
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
		b, err := postgres.Open(t.Context(), url, postgres.Config{Schema: schema})
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

func TestASchemaOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	url := database(t)
	execute(t, url, "UPDATE lambdabiz.meta SET version = version + 1")
	b, err := postgres.Open(t.Context(), url, postgres.Config{})
	if err == nil {
		_ = b.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "upgrade lambdabiz") {
		t.Fatalf("error %v, want one that says what to do", err)
	}
	if postgres.Migrations() == 0 {
		t.Error("there are no migrations")
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
	backend, err := postgres.New(pool, postgres.Config{})
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
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
