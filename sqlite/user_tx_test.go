package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver" // the application's own way to its tables

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// till is a file with a table of the application's beside the orchestrations.
type till struct {
	t    *testing.T
	path string
	db   *sql.DB // the application's own
	b    *sqlite.Backend
	e    *lambdabiz.Engine
}

func newTill(t *testing.T, c sqlite.Config, defs ...lambdabiz.Registrable) *till {
	t.Helper()
	c.Path = filepath.Join(t.TempDir(), "orders.db")
	b, err := sqlite.OpenConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(c.Path)+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	s := &till{t: t, path: c.Path, db: db, b: b}
	s.exec("CREATE TABLE payments (id TEXT NOT NULL, by TEXT NOT NULL)")
	s.e, err = lambdabiz.New(b, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler), PollInterval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.e.Register(defs...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, db.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *till) exec(query string) {
	s.t.Helper()
	if _, err := s.db.ExecContext(s.t.Context(), query); err != nil {
		s.t.Fatal(err)
	}
}

func (s *till) payments(id string) (n int) {
	s.t.Helper()
	if err := s.db.QueryRowContext(s.t.Context(), "SELECT COUNT(*) FROM payments WHERE id = ?", id).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func pay(ctx context.Context, tx sqlite.Queries, id, by string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO payments (id, by) VALUES (?, ?)", id, by)
	return err
}

func order(f func(o lambdabiz.Context, id string) (string, error)) *lambdabiz.Definition[string, string] {
	return lambdabiz.Define("Payment", f)
}

func (s *till) result(d *lambdabiz.Definition[string, string], id string) (string, error) {
	s.t.Helper()
	run, err := lambdabiz.Start(s.t.Context(), s.e, d, id, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return run.Result(s.t.Context())
}

func TestAStepsWritesAndItsResultAreOneTransaction(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return sqlite.Tx(o, "pay", func(ctx context.Context, tx sqlite.Queries) (string, error) {
			n := calls.Add(1)
			if err := pay(ctx, tx, id, fmt.Sprint(n)); err != nil {
				return "", err
			}
			switch n {
			case 1:
				return "", errors.New("no money")
			case 2:
				panic("no money")
			}
			if _, err := tx.ExecContext(ctx, "SAVEPOINT s; INSERT INTO payments VALUES ('x', 'y'); ROLLBACK TO s"); err != nil {
				return "", err
			}
			var by string
			err := tx.QueryRowContext(ctx, "SELECT by FROM payments WHERE id = :id", sql.Named("id", id)).Scan(&by)
			return by, errors.Join(err, lambdabiz.Heartbeat(ctx, 1))
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Millisecond}))
	})
	s := newTill(t, sqlite.Config{}, d)
	if got, err := s.result(d, "order-1"); got != "3" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	if n := s.payments("order-1"); n != 1 {
		t.Errorf("it was paid %d times", n)
	}
	state, err := s.e.State(t.Context(), "order-1")
	if err != nil || state.Operations[0].Attempts != 3 || state.Operations[0].Kind != lambdabiz.KindStep {
		t.Errorf("state %+v, %v", state, err)
	}
}

func TestAStepDoesNotEndItsTransactionItself(t *testing.T) {
	t.Parallel()
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return sqlite.Tx(o, "pay", func(ctx context.Context, tx sqlite.Queries) (string, error) {
			if err := pay(ctx, tx, id, "a"); err != nil {
				return "", err
			}
			_, _ = tx.ExecContext(ctx, id)
			return "paid", nil
		})
	})
	s := newTill(t, sqlite.Config{}, d)
	for _, statement := range []string{"COMMIT", "ROLLBACK", "COMMIT; BEGIN IMMEDIATE", "ROLLBACK; BEGIN IMMEDIATE"} {
		_, err := s.result(d, statement)
		if err == nil || !strings.Contains(err.Error(), "ended its transaction itself") {
			t.Errorf("%s: %v", statement, err)
		}
		if n := s.payments(statement); n != 0 {
			t.Errorf("%s: %d payments stay", statement, n)
		}
	}
}

// A body returns, and has left rows open. Nobody waits for them, and what is done with them later touches nothing.
//
//nolint:rowserrcheck,sqlclosecheck // it is the test's matter that they are not closed
func TestWhatABodyHasLeftOpenIsClosed(t *testing.T) {
	t.Parallel()
	errNoMoney := errors.New("no money")
	var rows *sql.Rows
	var prepared *sql.Stmt
	bodies := map[string]func(ctx context.Context, tx sqlite.Queries) error{
		"rows": func(ctx context.Context, tx sqlite.Queries) (err error) {
			rows, err = tx.QueryContext(ctx, "SELECT id FROM payments")
			return err
		},
		"rows that were begun, and an error": func(ctx context.Context, tx sqlite.Queries) (err error) {
			if rows, err = tx.QueryContext(context.WithoutCancel(ctx), "SELECT id FROM payments"); err == nil && rows.Next() {
				err = errNoMoney
			}
			return err
		},
		"rows of what is written": func(ctx context.Context, tx sqlite.Queries) (err error) {
			rows, err = tx.QueryContext(context.WithoutCancel(ctx),
				"INSERT INTO payments (id, by) VALUES ('x', 'b'), ('x', 'c') RETURNING id")
			if err == nil && !rows.Next() {
				err = rows.Err()
			}
			return err
		},
		"a row that was not read": func(ctx context.Context, tx sqlite.Queries) error {
			_ = tx.QueryRowContext(context.WithoutCancel(ctx), "SELECT id FROM payments")
			return nil
		},
		"a statement, and its rows": func(ctx context.Context, tx sqlite.Queries) (err error) {
			if prepared, err = tx.PrepareContext(ctx, "SELECT id FROM payments"); err == nil {
				rows, err = prepared.QueryContext(context.WithoutCancel(ctx))
			}
			return err
		},
	}
	var left sqlite.Queries
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return sqlite.Tx(o, "pay", func(ctx context.Context, tx sqlite.Queries) (string, error) {
			left = tx
			return "paid", errors.Join(pay(ctx, tx, id, "a"), bodies[id](ctx, tx))
		})
	})
	s := newTill(t, sqlite.Config{}, d)
	for name := range bodies {
		rows, prepared = nil, nil
		run, err := lambdabiz.Start(t.Context(), s.e, d, name, name)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err = run.Result(ctx)
		cancel()
		fails := strings.HasSuffix(name, "error")
		if fails && !strings.Contains(fmt.Sprint(err), errNoMoney.Error()) || !fails && err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := s.payments(name); (n == 1) == fails {
			t.Errorf("%s: paid %d times", name, n)
		}
		if rows != nil {
			if rows.Next() {
				t.Errorf("%s: there is another row", name)
			}
			if err := rows.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if prepared != nil {
			if _, err := prepared.ExecContext(t.Context()); err == nil {
				t.Errorf("%s: its statement can be used", name)
			}
			if err := prepared.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := pay(t.Context(), left, name, "late"); err == nil {
			t.Errorf("%s: it pays when it is over", name)
		}
	}
	if n := s.payments("x"); n != 2 {
		t.Errorf("%d rows were written as they were read", n)
	}
}

// A value with a name that the statement does not have is not taken for another one's.
func TestAStepsParametersHaveTheirNames(t *testing.T) {
	t.Parallel()
	tx, err := setup(t).Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	q := sqlite.QueriesOf(tx)
	if _, err := q.ExecContext(t.Context(), "CREATE TABLE payments (id TEXT, by TEXT)"); err != nil {
		t.Fatal(err)
	}
	insert := "INSERT INTO payments VALUES (:id, @by)"
	if _, err := q.ExecContext(t.Context(), insert, sql.Named("by", "me"), sql.Named("id", "a")); err != nil {
		t.Error(err)
	}
	var id, by string
	if err := q.QueryRowContext(t.Context(), "SELECT id, by FROM payments").Scan(&id, &by); id != "a" || by != "me" || err != nil {
		t.Errorf("%q was paid by %q, %v", id, by, err)
	}
	_, err = q.ExecContext(t.Context(), insert, sql.Named("ID", "a"), sql.Named("by", "me"))
	if err == nil || !strings.Contains(err.Error(), `no parameter with the name "ID"`) {
		t.Errorf("another name: %v", err)
	}
}

// The body asks the engine for a write that must wait for the body.
func TestABodyCannotWaitForItself(t *testing.T) {
	t.Parallel()
	var s *till
	var quick, slow error
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return sqlite.Tx(o, "pay", func(ctx context.Context, tx sqlite.Queries) (string, error) {
			quick = s.e.RaiseEvent(ctx, id, "e", 1)
			slow = s.e.RaiseEvent(context.Background(), id, "e", 1)
			return "paid", errors.Join(pay(ctx, tx, id, "a"), sqlite.RaiseTx(ctx, tx, s.e, id, "paid", true))
		})
	})
	s = newTill(t, sqlite.Config{BusyTimeout: 200 * time.Millisecond}, d)
	if got, err := s.result(d, "order-1"); got != "paid" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	if !errors.Is(quick, lambdabiz.ErrBusy) || !errors.Is(slow, lambdabiz.ErrBusy) {
		t.Errorf("with its own context %v, with another one %v", quick, slow)
	}
	if n := s.payments("order-1"); n != 1 {
		t.Errorf("it was paid %d times", n)
	}
}

func TestTransactionsOfAnotherHomeAreRefused(t *testing.T) {
	t.Parallel()
	var refusal error
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		_, refusal = sqlite.Tx(o, "pay", func(context.Context, sqlite.Queries) (string, error) { return "", nil })
		return id, nil
	})
	e, err := lambdabiz.New(memory.New(), lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	err = e.RunWhile(t.Context(), func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, e, d, "order-1", "order-1")
		if err == nil {
			_, err = run.Result(ctx)
		}
		return err
	})
	var unsupported *lambdabiz.UnsupportedError
	if err != nil || !errors.As(refusal, &unsupported) || unsupported.Feature != lambdabiz.FeatureTransaction {
		t.Errorf("refused with %v, %v", refusal, err)
	}
}

// The worker is replaced while its step runs, which cannot be seen before: nobody else can write. So it is replaced before.
func TestAStepOfAReplacedWorkerLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	worker, err := b.Join(t.Context(), lambdabiz.WorkerInfo{Names: []string{"Order"}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Commit(t.Context(), []*lambdabiz.Commit{{
		Worker: worker, At: time.Now(), Starts: []lambdabiz.RunStart{{ID: "a", RunID: "r", Name: "Order", Claim: true}},
	}})
	if err != nil || v[0].Starts[0].Err != nil {
		t.Fatal(err, v)
	}
	ref := v[0].Starts[0].Run
	if err := b.Leave(t.Context(), worker, -1); err != nil {
		t.Fatal(err)
	}
	tx, err := b.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	q := sqlite.QueriesOf(tx)
	if _, err := q.ExecContext(t.Context(), "CREATE TABLE payments (id TEXT)"); err != nil {
		t.Fatal(err)
	}
	err = tx.Commit(t.Context(), &lambdabiz.Commit{Run: &ref, At: time.Now(), Operations: []lambdabiz.Operation{
		{Number: 1, ID: "pay", Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded, Attempts: 1},
	}})
	if !errors.Is(err, lambdabiz.ErrFenced) {
		t.Errorf("it ends with %v", err)
	}
	again, err := b.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Rollback()
	if _, err := sqlite.QueriesOf(again).ExecContext(t.Context(), "DELETE FROM payments"); err == nil {
		t.Error("its table is there")
	}
	record, err := b.Load(t.Context(), "a", "")
	if err != nil || len(record.Operations) != 0 {
		t.Errorf("recorded %+v, %v", record, err)
	}
}

func TestStartsAndEventsAreThereIfTheirTransactionIs(t *testing.T) {
	t.Parallel()
	d := order(func(o lambdabiz.Context, _ string) (string, error) {
		a, err := lambdabiz.WaitForEvent[string](o, "first", lambdabiz.Named("e"))
		if err != nil {
			return "", err
		}
		b, err := lambdabiz.WaitForEvent[string](o, "second", lambdabiz.Named("e"))
		return a + b, err
	})
	s := newTill(t, sqlite.Config{}, d)
	within := func(commit bool, do func(tx *sql.Tx)) {
		t.Helper()
		tx, err := s.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		do(tx)
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.e.RaiseEvent(t.Context(), "x", "e", "kept", lambdabiz.BeforeStart(time.Hour), lambdabiz.Key("k")); err != nil {
		t.Fatal(err)
	}
	var run *lambdabiz.Run[string]
	for _, commit := range []bool{false, true} {
		within(commit, func(tx *sql.Tx) {
			var err error
			tags := lambdabiz.Tags(map[string]string{"shop": "north"})
			if run, err = sqlite.StartTx(t.Context(), tx, s.e, d, "x", "x", tags); err != nil || !run.Created() {
				t.Fatalf("created %v, %v", run, err)
			}
			_, err = sqlite.StartTx(t.Context(), tx, s.e, d, "x", "x", lambdabiz.OnUsedID(lambdabiz.RejectExisting))
			if !errors.Is(err, lambdabiz.ErrExists) {
				t.Errorf("again: %v", err)
			}
			if err := sqlite.RaiseTx(t.Context(), tx, s.e, "x", "e", "again", lambdabiz.Key("k")); err != nil {
				t.Error(err)
			}
			if err := sqlite.RaiseTx(t.Context(), tx, s.e, "x", "e", " and new"); err != nil {
				t.Error(err)
			}
			if err := sqlite.RaiseTx(t.Context(), tx, s.e, "nobody", "e", 1); !errors.Is(err, lambdabiz.ErrNotFound) {
				t.Errorf("to nobody: %v", err)
			}
		})
		if _, err := s.e.State(t.Context(), "x"); errors.Is(err, lambdabiz.ErrNotFound) == commit {
			t.Errorf("committed %v: %v", commit, err)
		}
	}
	if got, err := run.Result(t.Context()); got != "kept and new" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	page, err := s.e.List(t.Context(), lambdabiz.Filter{Tags: map[string]string{"shop": "north"}})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("listed %+v, %v", page, err)
	}
}

// A COMMIT fails that is done, or one that is not; for a moment, or until somebody asks again. What became of it is found.
func TestAStepWhoseCommitFails(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{true, false} {
		for _, lasting := range []bool{true, false} {
			t.Run(fmt.Sprint("done ", done, ", lasting ", lasting), func(t *testing.T) {
				t.Parallel()
				b, f := setupFaulty(t)
				b.start("a")
				ref := refOf(b, "a")
				tx, err := b.Begin(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := sqlite.QueriesOf(tx).ExecContext(t.Context(), "CREATE TABLE payments (id TEXT)"); err != nil {
					t.Fatal(err)
				}
				o := b.operation(1)
				o.Kind = lambdabiz.KindStep
				c := &lambdabiz.Commit{Run: ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{o}}
				woken := b.Wake()
				f.sticky.Store(lasting)
				if done {
					f.after.Store(1)
				} else {
					f.writes.Store(1)
				}
				err = tx.Commit(t.Context(), c)
				if f.failed.Load() == 0 {
					t.Error("nothing has failed")
				}
				f.heal()
				if unknown := errors.Is(err, lambdabiz.ErrOutcomeUnknown); unknown != lasting {
					t.Fatalf("it ends with %v", err)
				} else if unknown {
					err = tx.Commit(t.Context(), c)
				}
				if (err == nil) != done {
					t.Errorf("done %v, and it ends with %v", done, err)
				}
				if n := len(woken); n != 1 && done {
					t.Error("who waits for work was not told that there may be some")
				}
				if n := len(b.load("a").Operations); (n == 1) != done {
					t.Errorf("%d operations are recorded", n)
				}
				again, err := b.Begin(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer again.Rollback()
				_, err = sqlite.QueriesOf(again).ExecContext(t.Context(), "DELETE FROM payments")
				if (err == nil) != done {
					t.Errorf("the table: %v", err)
				}
			})
		}
	}
}
