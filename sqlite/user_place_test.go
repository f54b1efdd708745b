package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	codecheck "github.com/lambdabiz/lambdabiz/check"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// works is a worker of its own that works as long as f runs.
func (s *till) works(d lambdabiz.Registrable, f func(ctx context.Context, e *lambdabiz.Engine) error) {
	s.t.Helper()
	e, err := lambdabiz.New(s.b, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler), PollInterval: 10 * time.Millisecond})
	if err == nil {
		err = e.Register(d)
	}
	if err == nil {
		err = e.RunWhile(s.t.Context(), func(ctx context.Context) error { return f(ctx, e) })
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Steps in transactions stand where steps do: in the branches of a Map, in a saga and in what takes it back, before and after
// a restart. Each writes once.
func TestStepsInTransactionsStandWhereStepsDo(t *testing.T) {
	t.Parallel()
	errNoMoney := errors.New("no money")
	waits := make(chan struct{}, 1)
	var calls atomic.Int64
	by := func(o lambdabiz.Context, step, id, by string) error {
		_, err := sqlite.Tx(o, step, func(ctx context.Context, tx sqlite.Queries) (int64, error) {
			return calls.Add(1), pay(ctx, tx, id, by)
		})
		return err
	}
	d := order(func(o lambdabiz.Context, id string) (string, error) {
		items := []string{"a", "b", "c", "d", "e"}
		_, err := lambdabiz.Map(o, "items", items, func(item string) string { return item },
			func(o lambdabiz.Context, item string) (string, error) {
				return item, errors.Join(by(o, "first", "first", item), by(o, "second", "second", item))
			})
		if err != nil {
			return "", err
		}
		return lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) (string, error) {
			undo.Add("undo", func(o lambdabiz.Context) error {
				_, err := sqlite.Tx(o, "back", func(ctx context.Context, tx sqlite.Queries) (int64, error) {
					calls.Add(1)
					r, err := tx.ExecContext(ctx, "DELETE FROM payments WHERE id = ? AND by = 'saga'", id)
					if err != nil {
						return 0, err
					}
					return r.RowsAffected()
				})
				return err
			})
			if err := by(o, "pay", id, "saga"); err != nil {
				return "", err
			}
			if err := lambdabiz.Do(o, "told", func(context.Context) error { waits <- struct{}{}; return nil }); err != nil {
				return "", err
			}
			if _, err := lambdabiz.WaitForEvent[bool](o, "go on"); err != nil {
				return "", err
			}
			_, err := sqlite.Tx(o, "fail", func(ctx context.Context, tx sqlite.Queries) (int, error) {
				calls.Add(1)
				return 0, errors.Join(pay(ctx, tx, id, "nobody"), errNoMoney)
			})
			return "", err
		})
	})
	s := newTill(t, sqlite.Config{})
	s.works(d, func(ctx context.Context, e *lambdabiz.Engine) error {
		_, err := lambdabiz.Start(ctx, e, d, "order-1", "order-1")
		<-waits
		return err
	})
	if n := s.payments("order-1"); n != 1 {
		t.Errorf("the saga has paid %d times", n)
	}
	s.works(d, func(ctx context.Context, e *lambdabiz.Engine) error {
		if err := e.RaiseEvent(ctx, "order-1", "go on", true); err != nil {
			return err
		}
		_, err := lambdabiz.Get(e, d, "order-1").Result(ctx)
		if _, failed := errors.AsType[*lambdabiz.OrchestrationError](err); !failed {
			return fmt.Errorf("it ended with %w", err)
		}
		return nil
	})
	if first, second, saga := s.payments("first"), s.payments("second"), s.payments("order-1"); first != 5 || second != 5 || saga != 0 {
		t.Errorf("paid %d and %d times in the branches, and %d times in the saga", first, second, saga)
	}
	if n := calls.Load(); n != 5+5+1+1+1 {
		t.Errorf("bodies were called %d times", n)
	}
}

// What is checked before it is deployed has no file: recorded steps are returned, new ones are held, and none is called.
func TestStepsInTransactionsAreChecked(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	waits := make(chan struct{}, 1)
	code := func(steps ...string) *lambdabiz.Definition[string, string] {
		return order(func(o lambdabiz.Context, id string) (string, error) {
			for _, step := range steps {
				var err error
				if step == "told" {
					err = lambdabiz.Do(o, step, func(context.Context) error { waits <- struct{}{}; return nil })
				} else {
					_, err = sqlite.Tx(o, step, func(ctx context.Context, tx sqlite.Queries) (int64, error) {
						return calls.Add(1), pay(ctx, tx, id, step)
					})
				}
				if err != nil {
					return "", err
				}
			}
			_, err := lambdabiz.WaitForEvent[bool](o, "go on")
			return "", err
		})
	}
	d := code("pay", "told")
	s := newTill(t, sqlite.Config{})
	s.works(d, func(ctx context.Context, e *lambdabiz.Engine) error {
		_, err := lambdabiz.Start(ctx, e, d, "order-1", "order-1")
		<-waits
		return err
	})
	state, err := s.e.State(t.Context(), "order-1")
	if err != nil {
		t.Fatal(err)
	}
	open := *state
	open.Operations = slices.Clone(state.Operations[:1])
	open.Operations[0].Status, open.Operations[0].Result, open.Operations[0].EndedAt = lambdabiz.StatusStarted, nil, time.Time{}
	for _, c := range []struct {
		name              string
		state             *lambdabiz.State
		code              []string
		next, fresh, kept int
	}{
		{"the same code", state, []string{"pay", "told"}, 0, 0, 2},
		{"one more before", state, []string{"fee", "pay", "told"}, 0, 1, 2},
		{"an attempt under way", &open, []string{"pay", "told"}, 1, 0, 0},
	} {
		text, err := json.Marshal(c.state)
		if err != nil {
			t.Fatal(err)
		}
		report, err := codecheck.Config{}.Resume(t.Context(), text, code(c.code...))
		if err != nil {
			t.Fatal(err)
		}
		if !report.Fits() || len(report.Next) != c.next || len(report.New) != c.fresh || len(report.Kept) != c.kept {
			t.Errorf("%s: %s", c.name, report)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("its bodies were called %d times", n)
	}
}

// alone says what is wrong when a step's body runs a statement, or its worker is replaced before, and the step ends: what the
// body has written is there without its record, or the other way round.
func alone(t *testing.T, statement string, replaced bool, sabotage func(tx lambdabiz.Transaction, fence int64) error) string {
	t.Helper()
	b := setup(t)
	b.start("a")
	ref := refOf(b, "a")
	if replaced {
		if err := b.Leave(t.Context(), b.worker, -1); err != nil {
			t.Fatal(err)
		}
		claims, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{
			Worker: b.join("v1", "Order"), Names: []string{"Order"}, Limit: 1, Now: b.now,
		})
		if err != nil || len(claims.Runs) != 1 {
			t.Fatal(claims, err)
		}
	}
	tx, err := b.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sabotage(tx, ref.Fence); err != nil {
		t.Fatal(err)
	}
	q := sqlite.QueriesOf(tx)
	if _, err := q.ExecContext(t.Context(), "CREATE TABLE payments (id TEXT)"); err != nil {
		t.Fatal(err)
	}
	_, _ = q.ExecContext(t.Context(), statement) // it may be refused
	o := b.operation(1)
	o.Kind = lambdabiz.KindStep
	err = tx.Commit(t.Context(), &lambdabiz.Commit{Run: ref, At: b.now, Operations: []lambdabiz.Operation{o}})
	recorded := len(b.load("a").Operations) == 1
	again, fault := b.Begin(t.Context(), nil)
	if fault != nil {
		t.Fatal(fault)
	}
	defer again.Rollback()
	_, missing := sqlite.QueriesOf(again).ExecContext(t.Context(), "DELETE FROM payments")
	if written := missing == nil; written != recorded || recorded != (err == nil) || replaced && recorded {
		return fmt.Sprintf("written %v, recorded %v, worker replaced %v, and it ends with %v", written, recorded, replaced, err)
	}
	return ""
}

func TestWhatAStepWritesIsThereWithItsRecord(t *testing.T) {
	t.Parallel()
	none := func(lambdabiz.Transaction, int64) error { return nil }
	for _, statement := range []string{
		"SELECT 1", "COMMIT", "ROLLBACK", "ROLLBACK; BEGIN IMMEDIATE", "COMMIT; BEGIN IMMEDIATE", "SAVEPOINT s; ROLLBACK TO s",
		"INSERT OR ROLLBACK INTO payments SELECT NULL WHERE raise(ROLLBACK, 'x')", "END", "BEGIN",
	} {
		for _, replaced := range []bool{false, true} {
			if complaint := alone(t, statement, replaced, none); complaint != "" {
				t.Errorf("%s: %s", statement, complaint)
			}
		}
	}
}

func TestSabotageWhatAStepWrites(t *testing.T) {
	t.Parallel()
	campaign.Red(t, "F5", "the fence of the run", alone(t, "SELECT 1", true, sqlite.WithoutFence))
	campaign.Red(t, "F5", "the refusal of the body's COMMIT",
		alone(t, "COMMIT", false, func(tx lambdabiz.Transaction, _ int64) error { sqlite.WithoutCommitHook(tx); return nil }))
	campaign.Red(t, "F5", "the look at the body's ROLLBACK", alone(t, "ROLLBACK; BEGIN IMMEDIATE", false,
		func(tx lambdabiz.Transaction, _ int64) error { sqlite.WithoutRollbackHook(tx); return nil }))
}
