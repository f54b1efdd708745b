package postgres_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// shopURL is the database of the examples, which has a table of the shop's own:
//
//	CREATE TABLE stock (item text PRIMARY KEY, left_over int NOT NULL CHECK (left_over >= 0))
//	CREATE TABLE orders (id text PRIMARY KEY, item text NOT NULL)
var shopURL = "postgres://orders:secret@db.example.com/shop"

// Reserve takes an item from stock once: the row and the result of the step are committed together. Kill the process
// wherever you like.
var Reserve = lambdabiz.Define("Reserve", func(o lambdabiz.Context, item string) (int, error) {
	left, err := postgres.Tx(o, "take", func(ctx context.Context, tx pgx.Tx) (left int, err error) {
		err = tx.QueryRow(ctx, "UPDATE stock SET left_over = left_over - 1 WHERE item = $1 RETURNING left_over", item).Scan(&left)
		return left, err
	})
	if err != nil {
		return 0, err
	}
	return left, lambdabiz.Do(o, "tell", func(context.Context) error { // at least once
		fmt.Println("reserved:", item)
		return nil
	})
})

func ExampleTx() { //nolint:testableexamples // it needs a server: TestExamples runs it
	ctx := context.Background()
	backend, err := postgres.Open(ctx, shopURL, postgres.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close() }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: nothing})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Register(Reserve); err != nil {
		fmt.Println(err)
		return
	}
	err = engine.RunWhile(ctx, func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, engine, Reserve, "reserve-7", "tea")
		if err != nil {
			return err
		}
		left, err := run.Result(ctx)
		fmt.Println("left:", left)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
}

// An order and the orchestration that works on it are there together, or neither is.
func ExampleStartTx() { //nolint:testableexamples // it needs a server: TestExamples runs it
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, shopURL) // the application's own
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	backend, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: nothing}) // a client: workers are elsewhere
	if err != nil {
		fmt.Println(err)
		return
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO orders (id, item) VALUES ($1, $2)", "order-8", "tea"); err != nil {
			return err
		}
		_, err := postgres.StartTx(ctx, tx, engine, Reserve, "order-8", "tea")
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	state, err := engine.State(ctx, "order-8")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(state.Name, state.Status)
}

// An event is raised if the transaction that it tells of is committed.
func ExampleRaiseTx() { //nolint:testableexamples // it needs a server: TestExamples runs it
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, shopURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	backend, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: nothing})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE orders SET item = 'coffee' WHERE id = $1", "order-8"); err != nil {
			return err
		}
		return postgres.RaiseTx(ctx, tx, engine, "order-8", "changed", "coffee", lambdabiz.Key("change-1"))
	})
	fmt.Println(err)
}

func TestExamples(t *testing.T) { //nolint:paralleltest // it takes what the program prints
	onlyOnPostgreSQL(t)
	url := shopURL
	shopURL = database(t)
	defer func() { shopURL = url }()
	s := &shop{t: t, url: shopURL}
	pool, err := pgxpool.New(t.Context(), shopURL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s.pool = pool
	s.exec("CREATE TABLE stock (item text PRIMARY KEY, left_over int NOT NULL CHECK (left_over >= 0))")
	s.exec("CREATE TABLE orders (id text PRIMARY KEY, item text NOT NULL)")
	s.exec("INSERT INTO stock VALUES ('tea', 3)")
	for _, example := range []struct {
		run  func()
		want string
	}{
		{ExampleTx, "reserved: tea\nleft: 2\n"},
		{ExampleStartTx, "Reserve SCHEDULED\n"},
		{ExampleRaiseTx, "<nil>\n"},
	} {
		if got := printed(t, example.run); got != example.want {
			t.Errorf("printed %q, want %q", got, example.want)
		}
	}
}

func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = stdout
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
