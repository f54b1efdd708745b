package model_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// ledger is a home in memory with a table of the application's: what is written in the transaction of a step is there when,
// and only when, its record is.
type ledger struct {
	lambdabiz.Backend
	alone bool // it has one writer

	slow time.Duration // a commit takes so long before it is applied

	// What happens at the end of a transaction, in place of the commit if it returns an error. Called with the first try.
	ends func(commit func() error) error

	mu    sync.Mutex
	rows  []string
	begun int
	inUse chan struct{} // one place: the writer
}

func newLedger(alone bool) *ledger {
	return &ledger{Backend: memory.New(), alone: alone, inUse: make(chan struct{}, 1)}
}

func (l *ledger) Describe() lambdabiz.Description {
	d := l.Backend.Describe()
	d.Name, d.OneWriter = "ledger", l.alone
	return d
}

func (l *ledger) Wake() <-chan struct{} {
	return l.Backend.(lambdabiz.Waker).Wake()
}

func (l *ledger) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if l.alone {
		l.inUse <- struct{}{}
		defer func() { <-l.inUse }()
	}
	if l.slow > 0 {
		time.Sleep(l.slow)
	}
	return l.Backend.Commit(ctx, batch)
}

func (l *ledger) Begin(context.Context, any) (lambdabiz.Transaction, error) {
	l.mu.Lock()
	l.begun++
	l.mu.Unlock()
	if l.alone {
		l.inUse <- struct{}{}
	}
	return &entry{l: l}, nil
}

func (l *ledger) Write(context.Context, any, *lambdabiz.Commit) (lambdabiz.Verdict, error) {
	return lambdabiz.Verdict{}, errors.New("not here")
}

// written are the rows that stay.
func (l *ledger) written() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.rows)
}

// entry is a transaction.
type entry struct {
	l     *ledger
	rows  []string
	tried bool
	over  bool
	done  bool
}

var errConflict = errors.New("another transaction was in the way")

func (e *entry) put(row string) { e.rows = append(e.rows, row) }

func (e *entry) Lost(err error) bool { return errors.Is(err, errConflict) }

func (e *entry) Rollback() {
	if !e.over && e.l.alone {
		<-e.l.inUse
	}
	e.over = true
}

func (e *entry) Commit(ctx context.Context, c *lambdabiz.Commit) error {
	defer e.Rollback()
	commit := func() error {
		verdicts, err := e.l.Backend.Commit(context.WithoutCancel(ctx), []*lambdabiz.Commit{c})
		if err == nil {
			err = verdicts[0].Err
		}
		if err == nil {
			e.l.mu.Lock()
			e.l.rows = append(e.l.rows, e.rows...)
			e.l.mu.Unlock()
			e.done = true
		}
		return err
	}
	first := !e.tried
	e.tried = true
	switch {
	case first && e.l.ends != nil:
		return e.l.ends(commit)
	case first:
		return commit()
	case e.done:
		return nil
	default:
		return &temporary{errors.New("it was not committed")}
	}
}

type temporary struct{ error }

func (*temporary) Temporary() bool { return true }

// book is a step that writes a row with its result.
func book(
	o lambdabiz.Context, id string, f func(ctx context.Context, put func(string)) (string, error), opts ...lambdabiz.CallOption,
) (string, error) {
	within := lambdabiz.Within{Home: "ledger"}
	return lambdabiz.StepWithin(o, id, within, func(ctx context.Context, t lambdabiz.Transaction) (string, error) {
		e, ok := t.(*entry)
		if !ok {
			return "", fmt.Errorf("the transaction is a %T", t)
		}
		return f(ctx, e.put)
	}, opts...)
}

type coded = func(o lambdabiz.Context) (string, error)

// withLedger runs a test with an engine on the ledger, which has several writers and one.
func withLedger(t *testing.T, f func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error))) {
	t.Helper()
	for _, alone := range []bool{false, true} {
		t.Run(map[bool]string{false: "many writers", true: "one writer"}[alone], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedger(alone)
				e, err := lambdabiz.New(l, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var code func(o lambdabiz.Context) (string, error)
				d := lambdabiz.Define("Order", func(o lambdabiz.Context, _ int) (string, error) { return code(o) })
				if err := e.Register(d); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- e.Run(ctx) }()
				n := 0
				f(t, l, e, func(c func(o lambdabiz.Context) (string, error)) (string, error) {
					n++
					code = c
					run, err := lambdabiz.Start(ctx, e, d, fmt.Sprint("order-", n), 0)
					if err != nil {
						t.Fatal(err)
					}
					return run.Result(ctx)
				})
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func wantRows(t *testing.T, l *ledger, want ...string) {
	t.Helper()
	if got := l.written(); !slices.Equal(got, want) {
		t.Errorf("written %v, want %v", got, want)
	}
}

// A COMMIT that is on its way when the step's time is over counts: the step has not timed out, or it would be done twice.
func TestATransactionThatEndsIsNotTimedOut(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
		l.ends = func(commit func() error) error {
			time.Sleep(time.Minute)
			return commit()
		}
		calls := 0
		got, err := run(func(o lambdabiz.Context) (string, error) {
			return book(o, "pay", func(_ context.Context, put func(string)) (string, error) {
				calls++
				put("paid")
				return "ok", nil
			}, lambdabiz.Timeout(time.Second)) // with another attempt to come, the commit would end before that begins
		})
		if got != "ok" || err != nil || calls != 1 {
			t.Errorf("result %q, %v, after %d calls", got, err, calls)
		}
		wantRows(t, l, "paid")
		if s, err := e.State(t.Context(), "order-1"); err != nil || s.Operations[0].Attempts != 1 {
			t.Errorf("state %+v, %v", s, err)
		}
	})
}

// A body that goes on when its time is over commits nothing.
func TestALateBodyCommitsNothing(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, _ *lambdabiz.Engine, run func(coded) (string, error)) {
		got, err := run(func(o lambdabiz.Context) (string, error) {
			return book(o, "pay", func(ctx context.Context, put func(string)) (string, error) {
				info, _ := lambdabiz.TaskInfoFrom(ctx)
				row := fmt.Sprint("attempt ", info.Attempt)
				put(row)
				if info.Attempt == 1 {
					time.Sleep(time.Minute) // it does not look at its context
				}
				return row, nil
			}, lambdabiz.Timeout(time.Second), lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Second}))
		})
		if got != "attempt 2" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
		time.Sleep(time.Hour)
		wantRows(t, l, "attempt 2")
	})
}

// What became of a COMMIT is not known for a while. The body is not called again before it is.
func TestAnUnknownOutcomeIsLookedAt(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			t.Parallel()
			withLedger(t, func(t *testing.T, l *ledger, _ *lambdabiz.Engine, run func(coded) (string, error)) {
				l.ends = func(commit func() error) error {
					l.ends = nil
					if applied {
						if err := commit(); err != nil {
							return err
						}
					}
					return fmt.Errorf("the connection is lost: %w", lambdabiz.ErrOutcomeUnknown)
				}
				calls := 0
				got, err := run(func(o lambdabiz.Context) (string, error) {
					return book(o, "pay", func(_ context.Context, put func(string)) (string, error) {
						calls++
						put("paid")
						return fmt.Sprint("call ", calls), nil
					})
				})
				want := map[bool]string{true: "call 1", false: "call 2"}[applied]
				if got != want || err != nil {
					t.Errorf("result %q, %v, want %s", got, err, want)
				}
				wantRows(t, l, "paid")
			})
		})
	}
}

// A transaction that is lost is begun again in the same attempt, but not for ever.
func TestALostTransactionIsBegunAgain(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
		lost := 3
		step := func(o lambdabiz.Context) (string, error) {
			return book(o, "pay", func(_ context.Context, put func(string)) (string, error) {
				put("paid")
				if lost--; lost >= 0 {
					return "", fmt.Errorf("pay: %w", errConflict)
				}
				return "ok", nil
			})
		}
		if got, err := run(step); got != "ok" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
		wantRows(t, l, "paid")
		if s, err := e.State(t.Context(), "order-1"); err != nil || s.Operations[0].Attempts != 1 {
			t.Errorf("state %+v, %v", s, err)
		}
		lost, l.begun = 1000, 0
		if _, err := run(step); err == nil || l.begun != 11 {
			t.Errorf("it was begun %d times, %v", l.begun, err)
		}
		wantRows(t, l, "paid")
	})
}

// A branch loses its race while its COMMIT is on its way. What is applied is recorded as it is.
func TestABranchThatLosesWhileItCommits(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			t.Parallel()
			withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
				l.ends = func(commit func() error) error {
					time.Sleep(time.Minute)
					if applied {
						return commit()
					}
					return errors.New("it was refused")
				}
				got, err := run(func(o lambdabiz.Context) (string, error) {
					paying := lambdabiz.Go(o, "paying", func(o lambdabiz.Context) (string, error) {
						return book(o, "pay", func(_ context.Context, put func(string)) (string, error) {
							put("paid")
							return "ok", nil
						})
					})
					waiting := lambdabiz.Go(o, "waiting", func(o lambdabiz.Context) (string, error) {
						return "too late", lambdabiz.Do(o, "wait", func(context.Context) error { time.Sleep(time.Second); return nil })
					})
					if _, err := lambdabiz.Race(o, "race", paying, waiting); err != nil {
						return "", err
					}
					return waiting.Wait(o)
				})
				want := "too late"
				if l.alone { // nothing can be recorded before the transaction has ended, the end of the timer neither
					want = got
				}
				if got != want || err != nil {
					t.Errorf("result %q, %v", got, err)
				}
				s, err := e.State(t.Context(), "order-1")
				if err != nil {
					t.Fatal(err)
				}
				status := lambdabiz.StatusSucceeded
				if !applied {
					status = lambdabiz.StatusCancelled
				} else {
					wantRows(t, l, "paid")
				}
				for _, o := range s.Operations {
					if o.ID == "paying/pay" && o.Status != status && !l.alone {
						t.Errorf("the step is recorded as %v, want %v", o.Status, status)
					}
					if o.ID == "paying/pay" && (o.Status == lambdabiz.StatusSucceeded) != (len(l.written()) == 1) {
						t.Errorf("the step is recorded as %v, written %v", o.Status, l.written())
					}
				}
			})
		})
	}
}

// The body of a step that holds the only right to write asks the engine for another write: it is told so at once.
func TestABodyThatHoldsTheStoreIsToldSo(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
		var refusal error
		began := time.Now()
		got, err := run(func(o lambdabiz.Context) (string, error) {
			return book(o, "pay", func(ctx context.Context, put func(string)) (string, error) {
				put("paid")
				short, cancel := context.WithTimeout(ctx, time.Minute) // who is not told waits for as long as the store is held
				defer cancel()
				refusal = e.RaiseEvent(short, "order-1", "paid", true)
				return "ok", lambdabiz.Heartbeat(short, "half way")
			})
		})
		if got != "ok" || err != nil || time.Since(began) > time.Second {
			t.Errorf("result %q, %v, after %v", got, err, time.Since(began))
		}
		if errors.Is(refusal, lambdabiz.ErrBusy) != l.alone {
			t.Errorf("the event: %v", refusal)
		}
		wantRows(t, l, "paid")
	})
}

// Many steps of one run at the same time, with all that its branches record beside them.
func TestManyTransactionsOfOneRun(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
		items := make([]int, 100)
		for i := range items {
			items[i] = i
		}
		got, err := run(func(o lambdabiz.Context) (string, error) {
			key := func(i int) string { return fmt.Sprint(i) }
			_, err := lambdabiz.Map(o, "items", items, key, func(o lambdabiz.Context, i int) (string, error) {
				if err := lambdabiz.Do(o, "before", func(context.Context) error { return nil }); err != nil {
					return "", err
				}
				if i%3 == 0 {
					if err := lambdabiz.Sleep(o, "rest", time.Second); err != nil {
						return "", err
					}
				}
				return book(o, "pay", func(_ context.Context, put func(string)) (string, error) {
					time.Sleep(time.Duration(i%7) * time.Millisecond)
					put(fmt.Sprint(i))
					return "ok", nil
				})
			})
			return "all", err
		})
		if got != "all" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
		rows := l.written()
		slices.Sort(rows)
		if len(slices.Compact(rows)) != len(items) || len(l.written()) != len(items) {
			t.Errorf("%d rows", len(l.written()))
		}
		s, err := e.State(t.Context(), "order-1")
		if err != nil || len(s.Operations) != 234 {
			t.Errorf("%d operations, %v", len(s.Operations), err)
		}
		for _, o := range s.Operations {
			if o.Status != lambdabiz.StatusSucceeded {
				t.Errorf("%s is %v", o.ID, o.Status)
			}
		}
	})
}

// What is on its way to the store when a transaction is to be committed says of the step that it goes on. It must not come
// after the transaction.
func TestNothingOvertakesATransaction(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
		got, err := run(func(o lambdabiz.Context) (string, error) {
			got, err := book(o, "pay", func(ctx context.Context, put func(string)) (string, error) {
				put("paid")
				l.slow = time.Second
				err := lambdabiz.Heartbeat(ctx, "half way")
				time.Sleep(100 * time.Millisecond) // that is on its way now
				return "ok", err
			})
			time.Sleep(10 * time.Second)
			s, fault := e.State(o, "order-1")
			if fault != nil || s.Operations[0].Status != lambdabiz.StatusSucceeded {
				t.Errorf("state %+v, %v", s, fault)
			}
			return got, err
		})
		if got != "ok" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
		wantRows(t, l, "paid")
	})
}

// A worker that was replaced begins nothing: the begin of the step is recorded before its transaction begins, but where
// nobody else can write then.
func TestATransactionBeginsWithARecordedStep(t *testing.T) {
	t.Parallel()
	withLedger(t, func(t *testing.T, l *ledger, e *lambdabiz.Engine, run func(coded) (string, error)) {
		if l.alone {
			return
		}
		got, err := run(func(o lambdabiz.Context) (string, error) {
			return book(o, "pay", func(ctx context.Context, put func(string)) (string, error) {
				put("paid")
				s, err := e.State(ctx, "order-1")
				if err != nil || len(s.Operations) != 1 || s.Operations[0].Status != lambdabiz.StatusStarted {
					t.Errorf("state %+v, %v", s, err)
				}
				return "ok", nil
			})
		})
		if got != "ok" || err != nil {
			t.Errorf("result %q, %v", got, err)
		}
	})
}
