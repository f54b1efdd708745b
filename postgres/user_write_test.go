package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// within runs do in a transaction of the application's, by pgx and by database/sql, and commits or rolls back.
func (s *shop) within(bySQL, commit bool, do func(tx postgres.Queries)) {
	s.t.Helper()
	ctx := s.t.Context()
	if bySQL {
		tx, err := s.db().BeginTx(ctx, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		do(postgres.SQL(tx))
		if commit {
			if err := tx.Commit(); err != nil {
				s.t.Error(err)
			}
		}
		return
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	do(tx)
	if commit {
		if err := tx.Commit(ctx); err != nil {
			s.t.Error(err)
		}
	}
}

func both(t *testing.T, f func(t *testing.T, bySQL bool)) {
	t.Helper()
	for _, bySQL := range []bool{false, true} {
		t.Run(map[bool]string{false: "pgx", true: "database/sql"}[bySQL], func(t *testing.T) {
			t.Parallel()
			f(t, bySQL)
		})
	}
}

func TestAStartIsThereIfItsTransactionIs(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	both(t, func(t *testing.T, bySQL bool) {
		s := newShop(t)
		d := order(func(_ lambdabiz.Context, id string) (string, error) { return "done " + id, nil })
		// The worker never asks by itself: it must be told.
		e, _ := s.worker(lambdabiz.Config{PollInterval: time.Hour}, d)
		client, _ := s.client(lambdabiz.Config{})
		tags := lambdabiz.Tags(map[string]string{"shop": "north", "kind": "tea"})
		for _, commit := range []bool{false, true} {
			id := fmt.Sprint("order-", commit)
			var run *lambdabiz.Run[string]
			s.within(bySQL, commit, func(tx postgres.Queries) {
				var err error
				if run, err = postgres.StartTx(t.Context(), tx, client, d, id, id, tags); err != nil || !run.Created() {
					t.Fatalf("created %v, %v", run, err)
				}
				if _, err := e.State(t.Context(), id); !errors.Is(err, lambdabiz.ErrNotFound) {
					t.Errorf("it is there before the commit: %v", err)
				}
			})
			if !commit {
				if _, err := e.State(t.Context(), id); !errors.Is(err, lambdabiz.ErrNotFound) {
					t.Errorf("it is there after the rollback: %v", err)
				}
				continue
			}
			if got, err := run.Result(t.Context()); got != "done "+id || err != nil {
				t.Errorf("result %q, %v", got, err)
			}
			page, err := e.List(t.Context(), lambdabiz.Filter{Tags: map[string]string{"kind": "tea"}})
			if err != nil || len(page.Runs) != 1 || page.Runs[0].RunID != run.RunID() || page.Runs[0].Tags["shop"] != "north" {
				t.Errorf("listed %+v, %v", page.Runs, err)
			}
		}
	})
}

func TestAStartInATransactionKeepsToItsPolicy(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	both(t, func(t *testing.T, bySQL bool) {
		s := newShop(t)
		d := order(func(o lambdabiz.Context, _ string) (string, error) { return lambdabiz.WaitForEvent[string](o, "end") })
		other := lambdabiz.Define("Other", func(lambdabiz.Context, string) (string, error) { return "", nil })
		e, _ := s.worker(lambdabiz.Config{}, d, other)
		first, err := lambdabiz.Start(t.Context(), e, d, "x", "x")
		if err != nil {
			t.Fatal(err)
		}
		s.within(bySQL, true, func(tx postgres.Queries) {
			again, err := postgres.StartTx(t.Context(), tx, e, d, "x", "x")
			if err != nil || again.Created() || again.RunID() != first.RunID() {
				t.Errorf("again: %+v, %v", again, err)
			}
			for _, p := range []lambdabiz.StartPolicy{lambdabiz.RejectExisting, lambdabiz.RejectOpen} {
				_, err := postgres.StartTx(t.Context(), tx, e, d, "x", "x", lambdabiz.OnUsedID(p))
				if !errors.Is(err, lambdabiz.ErrExists) {
					t.Errorf("policy %d: %v", p, err)
				}
			}
			if _, err := postgres.StartTx(t.Context(), tx, e, other, "x", "x"); !errors.Is(err, lambdabiz.ErrExists) {
				t.Errorf("another definition: %v", err)
			}
		})
		if err := e.RaiseEvent(t.Context(), "x", "end", "the first"); err != nil {
			t.Fatal(err)
		}
		if got, err := first.Result(t.Context()); got != "the first" || err != nil {
			t.Fatalf("result %q, %v", got, err)
		}
		// Kept for the next one, in their order.
		for _, name := range []string{"end", "more"} {
			if err := e.RaiseEvent(t.Context(), "x", name, "kept", lambdabiz.BeforeRestart(time.Hour), lambdabiz.Key(name)); err != nil {
				t.Fatal(err)
			}
		}
		var second *lambdabiz.Run[string]
		s.within(bySQL, true, func(tx postgres.Queries) {
			second, err = postgres.StartTx(t.Context(), tx, e, d, "x", "x", lambdabiz.OnUsedID(lambdabiz.RestartEnded))
			if err != nil || !second.Created() {
				t.Fatalf("after the end: %v", err)
			}
		})
		if got, err := second.Result(t.Context()); got != "kept" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
		var receipt lambdabiz.Receipt
		err = e.RaiseEvent(t.Context(), "x", "end", "kept", lambdabiz.Key("end"), lambdabiz.WithReceipt(&receipt))
		if err != nil || receipt != lambdabiz.ReceiptRepeated {
			t.Errorf("its key: %v, %v", receipt, err)
		}
	})
}

// What came before the start is the new run's, in its order, and the places that were kept for it are gone.
func TestAStartInATransactionFindsWhatWasKept(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			d := order(func(o lambdabiz.Context, _ string) (string, error) {
				a, err := lambdabiz.WaitForEvent[string](o, "first", lambdabiz.Named("e"))
				if err != nil {
					return "", err
				}
				b, err := lambdabiz.WaitForEvent[string](o, "second", lambdabiz.Named("e"))
				return a + b, err
			})
			e, _ := s.worker(lambdabiz.Config{}, d)
			keep := func(payload string) {
				if err := e.RaiseEvent(t.Context(), "x", "e", payload, lambdabiz.BeforeStart(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			keep("a")
			tx, err := s.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := tx.Exec(t.Context(), "SELECT count(*) FROM payments"); err != nil { // its snapshot
				t.Fatal(err)
			}
			keep("b")
			run, err := postgres.StartTx(t.Context(), tx, e, d, "x", "x")
			if level != pgx.ReadCommitted {
				if err == nil || !strings.Contains(err.Error(), "40001") {
					t.Fatalf("it would not see the second one, and says %v", err)
				}
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.within(false, true, func(tx postgres.Queries) { run, err = postgres.StartTx(t.Context(), tx, e, d, "x", "x") })
			} else if err == nil {
				err = tx.Commit(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := run.Result(t.Context()); got != "ab" || err != nil {
				t.Errorf("result %q, %v", got, err)
			}
		})
	}
}

func TestAnEventOfATransactionIsDeliveredAfterIt(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	both(t, func(t *testing.T, bySQL bool) {
		s := newShop(t)
		d := order(func(o lambdabiz.Context, _ string) (string, error) {
			all := ""
			for i := range 3 {
				got, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint(i), lambdabiz.Named("e"))
				if err != nil {
					return "", err
				}
				all += got
			}
			return all, nil
		})
		client, b := s.client(lambdabiz.Config{}, d)
		run, err := lambdabiz.Start(t.Context(), client, d, "x", "x")
		if err != nil {
			t.Fatal(err)
		}
		raise := func(tx postgres.Queries, payload string, opts ...lambdabiz.RaiseOption) {
			t.Helper()
			if err := postgres.RaiseTx(t.Context(), tx, client, "x", "e", payload, opts...); err != nil {
				t.Fatal(err)
			}
		}
		s.within(bySQL, false, func(tx postgres.Queries) { raise(tx, "never") })
		// No worker lives. The row of the run is free meanwhile.
		s.within(bySQL, true, func(tx postgres.Queries) {
			raise(tx, "a", lambdabiz.Key("a"))
			raise(tx, "b")
			if err := client.RaiseEvent(t.Context(), "x", "other", 1); err != nil {
				t.Errorf("the run is held up: %v", err)
			}
			for id, want := range map[string]error{"nobody": lambdabiz.ErrNotFound} {
				if err := postgres.RaiseTx(t.Context(), tx, client, id, "e", 1); !errors.Is(err, want) {
					t.Errorf("to %s: %v", id, err)
				}
			}
		})
		s.within(bySQL, true, func(tx postgres.Queries) { raise(tx, "again", lambdabiz.Key("a")) })
		if n := (&bundle{Backend: b, t: t}).count("SELECT count(*) FROM lambdabiz.mail"); n != 3 {
			t.Errorf("%d events wait to be delivered", n)
		}
		s.run(client)
		s.within(bySQL, true, func(tx postgres.Queries) { raise(tx, "c") })
		if got, err := run.Result(t.Context()); got != "abc" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
		if n := (&bundle{Backend: b, t: t}).count("SELECT count(*) FROM lambdabiz.mail"); n != 0 {
			t.Errorf("%d events are left", n)
		}
		s.within(bySQL, true, func(tx postgres.Queries) {
			if err := postgres.RaiseTx(t.Context(), tx, client, "x", "e", 1); !errors.Is(err, lambdabiz.ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
			if err := postgres.RaiseTx(t.Context(), tx, client, "x", "e", 1, lambdabiz.Key("a")); err != nil {
				t.Errorf("after the end, with a key that is known: %v", err)
			}
			if err := postgres.RaiseTx(t.Context(), tx, client, "y", "e", "kept", lambdabiz.BeforeStart(time.Hour)); err != nil {
				t.Errorf("before the start: %v", err)
			}
		})
	})
}

// A start and what it is to hear of at once, all in one transaction: that of a step.
func TestAStepStartsAndRaises(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	s := newShop(t)
	inner := lambdabiz.Define("Parcel", func(o lambdabiz.Context, _ string) (string, error) {
		return lambdabiz.WaitForEvent[string](o, "sender")
	})
	var e *lambdabiz.Engine
	calls := 0
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		return postgres.Tx(o, "ship", func(ctx context.Context, tx pgx.Tx) (string, error) {
			if err := pay(ctx, tx, id, "a"); err != nil {
				return "", err
			}
			if _, err := postgres.StartTx(ctx, tx, e, inner, "parcel-"+id, id); err != nil {
				return "", err
			}
			if err := postgres.RaiseTx(ctx, tx, e, "parcel-"+id, "sender", id); err != nil {
				return "", err
			}
			if calls++; calls == 1 {
				return "", errors.New("not yet")
			}
			return "parcel-" + id, nil
		}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2, Initial: time.Millisecond}))
	})
	e, _ = s.worker(lambdabiz.Config{}, d, inner)
	parcel, err := result(t, e, d, "order-1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := lambdabiz.Get(e, inner, parcel).Result(t.Context()); got != "order-1" || err != nil {
		t.Errorf("result %q, %v", got, err)
	}
	wantOnce(t, s, "order-1")
}

// An event is raised, and before anybody delivers it its orchestration ends, and the id is used again: it is not for that one,
// unless it says so.
func TestAnEventOfATransactionIsNotForALaterStart(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	s := newShop(t)
	d := order(func(o lambdabiz.Context, _ string) (string, error) {
		got, err := lambdabiz.WaitForEvent[string](o, "e", lambdabiz.Timeout(time.Second))
		if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
			return "nothing", nil
		}
		return got, err
	})
	client, _ := s.client(lambdabiz.Config{}, d)
	started := func(id string) *lambdabiz.Run[string] {
		t.Helper()
		run, err := lambdabiz.Start(t.Context(), client, d, id, id, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
		if err != nil || !run.Created() {
			t.Fatalf("start %s: created %v, %v", id, run, err)
		}
		return run
	}
	raised := map[string][]lambdabiz.RaiseOption{
		"nothing": nil,
		"kept":    {lambdabiz.BeforeRestart(time.Hour)},
	}
	runs := map[string]*lambdabiz.Run[string]{}
	for id, opts := range raised {
		started(id)
		s.within(false, true, func(tx postgres.Queries) {
			if err := postgres.RaiseTx(t.Context(), tx, client, id, "e", "kept", opts...); err != nil {
				t.Error(err)
			}
		})
		if err := client.Terminate(t.Context(), id, "not wanted"); err != nil { // no worker lives
			t.Fatal(err)
		}
		runs[id] = started(id)
	}
	s.run(client)
	for id, run := range runs {
		if got, err := run.Result(t.Context()); got != id || err != nil {
			t.Errorf("the later one has got %q, want %s, %v", got, id, err)
		}
	}
}

// Who drives an orchestration by hand gets the events of transactions, though no worker lives that would deliver them.
func TestAnEventOfATransactionReachesACallerByHand(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	s := newShop(t)
	client, _ := s.client(lambdabiz.Config{PollInterval: 10 * time.Millisecond})
	o, err := client.Create(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Start("begin"); err != nil {
		t.Fatal(err)
	}
	s.within(false, true, func(tx postgres.Queries) {
		if err := postgres.RaiseTx(t.Context(), tx, client, "x", "e", "hello"); err != nil {
			t.Error(err)
		}
	})
	if got, err := lambdabiz.WaitForEvent[string](o, "e"); got != "hello" || err != nil {
		t.Errorf("event %q, %v", got, err)
	}
	paid, err := postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) { return "paid", pay(ctx, tx, "x", "hand") })
	if paid != "paid" || err != nil {
		t.Errorf("step %q, %v", paid, err)
	}
	wantOnce(t, s, "x")
	if err := o.Complete("done"); err != nil {
		t.Error(err)
	}
}

// Many senders, each in order, many workers that deliver: none is lost, none comes twice, and each sender's come in order.
func TestEventsOfTransactionsComeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t) // else its transactions would have to begin anew
	s := newShop(t)
	const senders, each = 4, 15
	d := order(func(o lambdabiz.Context, _ string) (string, error) {
		var all []string
		for i := range senders * each {
			got, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint(i), lambdabiz.Named("e"))
			if err != nil {
				return "", err
			}
			all = append(all, got)
		}
		return strings.Join(all, " "), nil
	})
	e, _ := s.worker(lambdabiz.Config{PollInterval: 20 * time.Millisecond}, d)
	for range 2 {
		s.worker(lambdabiz.Config{PollInterval: 20 * time.Millisecond}, d)
	}
	run, err := lambdabiz.Start(t.Context(), e, d, "x", "x")
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	for n := range senders {
		client, _ := s.client(lambdabiz.Config{}, d)
		sending.Go(func() {
			for i := range each {
				err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
					return postgres.RaiseTx(t.Context(), tx, client, "x", "e", fmt.Sprintf("%d:%02d", n, i))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	got, err := run.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	seen := map[string]bool{}
	for e := range strings.FieldsSeq(got) {
		sender, _, _ := strings.Cut(e, ":")
		if seen[e] || e < last[sender] {
			t.Errorf("%s after %s", e, last[sender])
		}
		seen[e], last[sender] = true, e
	}
	if len(seen) != senders*each {
		t.Errorf("%d events of %d", len(seen), senders*each)
	}
}
