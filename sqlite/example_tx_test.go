package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// Reserve takes an item from stock once: the row and the result of the step are committed together. Kill the process
// wherever you like.
var Reserve = lambdabiz.Define("Reserve", func(o lambdabiz.Context, item string) (int, error) {
	return sqlite.Tx(o, "take", func(ctx context.Context, tx sqlite.Queries) (left int, err error) {
		err = tx.QueryRowContext(ctx, "UPDATE stock SET left_over = left_over - 1 WHERE item = ? RETURNING left_over", item).Scan(&left)
		return left, err
	})
})

// The shop's table and the orchestrations are in one file.
func ExampleTx() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "shop.db")
	backend, err := sqlite.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close() }()
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(path)+"?_txlock=immediate") // by whatever driver you like
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	_, err = db.ExecContext(ctx, "CREATE TABLE stock (item TEXT PRIMARY KEY, left_over INTEGER); INSERT INTO stock VALUES ('tea', 3)")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Register(Reserve); err != nil {
		fmt.Println(err)
		return
	}
	// A start in a transaction of the application's: both are there, or neither is.
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tx.Rollback() }()
	run, err := sqlite.StartTx(ctx, tx, engine, Reserve, "reserve-7", "tea")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tx.Commit(); err != nil {
		fmt.Println(err)
		return
	}
	err = engine.RunWhile(ctx, func(ctx context.Context) error {
		left, err := run.Result(ctx)
		fmt.Println("left:", left)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: left: 2
}
