package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/postgres"
)

var nothing = slog.New(slog.DiscardHandler)

// shop is a database with a table of the application's beside the orchestrations.
type shop struct {
	t    testing.TB
	url  string
	pool *pgxpool.Pool // the application's own
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{t: t, url: database(t)}
	pool, err := pgxpool.New(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	s.pool = pool
	t.Cleanup(pool.Close)
	s.exec("CREATE TABLE payments (id text NOT NULL, by text NOT NULL)")
	return s
}

func (s *shop) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}

// payments are those of an order, by whom they were made.
func (s *shop) payments(id string) []string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), "SELECT by FROM payments WHERE id = $1 ORDER BY by", id)
	if err != nil {
		s.t.Fatal(err)
	}
	by, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	return by
}

func pay(ctx context.Context, tx pgx.Tx, id, by string) error {
	_, err := tx.Exec(ctx, "INSERT INTO payments (id, by) VALUES ($1, $2)", id, by)
	return err
}

// worker is an engine on a backend of its own, that works until the test ends.
func (s *shop) worker(c lambdabiz.Config, defs ...lambdabiz.Registrable) (*lambdabiz.Engine, *postgres.Backend) {
	s.t.Helper()
	e, b := s.client(c, defs...)
	s.run(e)
	return e, b
}

func (s *shop) client(c lambdabiz.Config, defs ...lambdabiz.Registrable) (*lambdabiz.Engine, *postgres.Backend) {
	s.t.Helper()
	b := open(s.t, s.url)
	if c.Logger == nil {
		c.Logger = nothing
	}
	e, err := lambdabiz.New(b, c)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := e.Register(defs...); err != nil {
		s.t.Fatal(err)
	}
	return e, b
}

func (s *shop) run(e *lambdabiz.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
		}
	}
	s.t.Cleanup(stop)
	return stop
}

func order(f func(o lambdabiz.Context, id string) (string, error)) *lambdabiz.Definition[string, string] {
	return lambdabiz.Define("Order", f)
}

func result(t testing.TB, e *lambdabiz.Engine, d *lambdabiz.Definition[string, string], id string) (string, error) {
	t.Helper()
	run, err := lambdabiz.Start(t.Context(), e, d, id, id)
	if err != nil {
		t.Fatal(err)
	}
	return run.Result(t.Context())
}

func wantOnce(t testing.TB, s *shop, id string) {
	t.Helper()
	if got := s.payments(id); len(got) != 1 {
		t.Errorf("%s was paid %d times: %v", id, len(got), got)
	}
}

func TestAStepsWritesAndItsResultAreOneTransaction(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			return fmt.Sprint("paid in attempt ", info.Attempt), pay(ctx, tx, id, "a")
		})
	})
	e, _ := s.worker(lambdabiz.Config{}, d)
	got, err := result(t, e, d, "order-1")
	if got != "paid in attempt 1" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	wantOnce(t, s, "order-1")
	state, err := e.State(t.Context(), "order-1")
	if err != nil {
		t.Fatal(err)
	}
	if o := state.Operations[0]; o.ID != "pay" || o.Kind != lambdabiz.KindStep || o.Attempts != 1 ||
		o.Status != lambdabiz.StatusSucceeded || o.StartedAt.IsZero() || o.EndedAt.IsZero() {
		t.Errorf("recorded %+v", o)
	}
}

func TestAStepThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("no money") },
		"a panic":  func() error { panic("no money") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			var calls atomic.Int64
			d := order(func(o lambdabiz.Context, id string) (string, error) {
				return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
					if err := pay(ctx, tx, id, fmt.Sprint("attempt ", calls.Add(1))); err != nil {
						return "", err
					}
					if calls.Load() < 3 {
						return "", fail()
					}
					return "paid", nil
				}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Millisecond}))
			})
			e, _ := s.worker(lambdabiz.Config{}, d)
			if got, err := result(t, e, d, "order-1"); got != "paid" || err != nil {
				t.Errorf("result %q, %v", got, err)
			}
			if got := s.payments("order-1"); len(got) != 1 || got[0] != "attempt 3" {
				t.Errorf("payments %v", got)
			}
			state, err := e.State(t.Context(), "order-1")
			if err != nil || state.Operations[0].Attempts != 3 {
				t.Errorf("attempts %+v, %v", state.Operations, err)
			}
		})
	}
}

func TestAStepDoesNotEndItsTransactionItself(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t)
	s := newShop(t)
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
			if err := tx.Commit(ctx); err == nil {
				return "", errors.New("it could commit")
			}
			if err := tx.Rollback(ctx); err == nil || !strings.Contains(err.Error(), "return an error") {
				return "", fmt.Errorf("it could roll back, and says %w", err)
			}
			inner, err := tx.Begin(ctx)
			if err != nil {
				return "", err
			}
			if err := errors.Join(pay(ctx, inner, id, "in a savepoint"), inner.Rollback(ctx)); err != nil {
				return "", err
			}
			return "paid", pay(ctx, tx, id, "a")
		})
	})
	byHand := lambdabiz.Define("ByHand", func(o lambdabiz.Context, id string) (string, error) {
		return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
			if err := pay(ctx, tx, id, "a"); err != nil {
				return "", err
			}
			_, err := tx.Exec(ctx, id)
			return "paid", err
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Millisecond}))
	})
	e, _ := s.worker(lambdabiz.Config{}, d, byHand)
	if got, err := result(t, e, d, "order-1"); got != "paid" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	if got := s.payments("order-1"); len(got) != 1 || got[0] != "a" {
		t.Errorf("payments %v", got)
	}
	for _, statement := range []string{"ROLLBACK", "COMMIT", "COMMIT AND CHAIN"} {
		_, err := result(t, e, byHand, statement)
		if err == nil || !strings.Contains(err.Error(), "ended its transaction itself") {
			t.Errorf("%s: %v", statement, err)
		}
		if n := len(s.payments(statement)); n > 1 {
			t.Errorf("%s: %d payments: it was tried again", statement, n)
		}
	}
}

// A statement has failed, and the step goes on as if it had not: nothing it has written can stay.
func TestAStepThatHidesAFailedStatementFails(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
			_ = pay(ctx, tx, id, "a")
			_, _ = tx.Exec(ctx, "SELECT 1/0")
			return "paid", nil
		})
	})
	e, _ := s.worker(lambdabiz.Config{}, d)
	if _, err := result(t, e, d, "order-1"); err == nil || !strings.Contains(err.Error(), "a statement of the step has failed") {
		t.Errorf("error %v", err)
	}
	if got := s.payments("order-1"); len(got) != 0 {
		t.Errorf("payments %v", got)
	}
}

// A result that cannot be stored, or read again, takes the writes with it.
func TestAResultThatCannotBeStoredLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		_, err := postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (chan int, error) {
			return make(chan int), pay(ctx, tx, id, "a")
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Millisecond}))
		if err == nil {
			return "", errors.New("a channel is no payload")
		}
		_, err = postgres.Tx(o, "again", func(ctx context.Context, tx pgx.Tx) (fmt.Stringer, error) {
			return time.Minute, pay(ctx, tx, id, "a")
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Millisecond}))
		if err == nil {
			return "", errors.New("nobody can read it again")
		}
		return "neither", nil
	})
	e, _ := s.worker(lambdabiz.Config{}, d)
	if got, err := result(t, e, d, "order-1"); got != "neither" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	if got := s.payments("order-1"); len(got) != 0 {
		t.Errorf("payments %v", got)
	}
}

func TestTransactionsOfAnotherHomeAreRefused(t *testing.T) {
	t.Parallel()
	called := false
	var refusal error
	d := order(func(o lambdabiz.Context, _ string) (string, error) {
		_, refusal = postgres.Tx(o, "pay", func(context.Context, pgx.Tx) (string, error) { called = true; return "", nil })
		return "", refusal
	})
	e, err := lambdabiz.New(memory.New(), lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	err = e.RunWhile(t.Context(), func(context.Context) error {
		_, err := result(t, e, d, "order-1")
		return err
	})
	var unsupported *lambdabiz.UnsupportedError
	if !errors.As(refusal, &unsupported) || unsupported.Feature != lambdabiz.FeatureTransaction || unsupported.Backend != "memory" {
		t.Errorf("error %v", err)
	}
	for _, word := range []string{"order-1", `"pay"`, "memory", "postgres"} {
		if !strings.Contains(fmt.Sprint(err), word) {
			t.Errorf("%q is not in %v", word, err)
		}
	}
	if state, err := e.State(t.Context(), "order-1"); err != nil || len(state.Operations) != 0 || called {
		t.Errorf("recorded %+v, %v; called %v", state, err, called)
	}
	if _, err := postgres.StartTx(t.Context(), nil, e, d, "order-2", "x"); !errors.As(err, &unsupported) {
		t.Errorf("start: %v", err)
	}
	if err := postgres.RaiseTx(t.Context(), nil, e, "order-2", "e", 1); !errors.As(err, &unsupported) {
		t.Errorf("raise: %v", err)
	}
}

// The worker is replaced while the step is in its transaction. It commits nothing, and the new one does it once.
func TestAReplacedWorkerCommitsNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	began, goOn := make(chan struct{}, 2), make(chan struct{})
	var calls atomic.Int64
	def := func(by string) *lambdabiz.Definition[string, string] {
		return order(func(o lambdabiz.Context, id string) (string, error) {
			return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
				by := fmt.Sprint(by, ", call ", calls.Add(1))
				if err := pay(ctx, tx, id, by); err != nil {
					return "", err
				}
				began <- struct{}{}
				<-goOn
				return by, nil
			})
		})
	}
	first, _ := s.worker(lambdabiz.Config{PollInterval: time.Hour, Lease: time.Hour}, def("the first"))
	run, err := lambdabiz.Start(t.Context(), first, def("the first"), "order-1", "order-1")
	if err != nil {
		t.Fatal(err)
	}
	<-began
	// Somebody declares the first one dead, which does not know it.
	second, b := s.client(lambdabiz.Config{}, def("the second"))
	workers, err := b.Workers(t.Context())
	if err != nil || len(workers) != 1 {
		t.Fatalf("%d workers, %v", len(workers), err)
	}
	if err := b.Leave(t.Context(), workers[0].Number, workers[0].Beat); err != nil {
		t.Fatal(err)
	}
	s.run(second)
	<-began // by whoever has it now, which may be the first one in another life
	close(goOn)
	got, err := run.Result(t.Context())
	if err != nil || !strings.HasSuffix(got, "call 2") {
		t.Errorf("result %q, %v", got, err)
	}
	if paid := s.payments("order-1"); len(paid) != 1 || paid[0] != got {
		t.Errorf("paid by %v, the result says %s", paid, got)
	}
}

// database/sql is a way to start and raise as well.
func (s *shop) db() *sql.DB {
	s.t.Helper()
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}
