package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// staged is a step in a transaction whose worker is replaced.
type staged struct {
	*bundle
	s      *shop
	id     string
	worker int64 // of the step
	t      lambdabiz.Transaction
	c      *lambdabiz.Commit
	pid    uint32
	next   *lambdabiz.Claimed // as the next worker has got the run
}

func stage(b *bundle, s *shop, id string) *staged {
	b.t.Helper()
	ref := b.start(id)
	o := operation(1)
	o.Kind, o.Status = lambdabiz.KindStep, lambdabiz.StatusStarted
	b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{o}})
	tx, err := b.Begin(b.t.Context(), pgx.TxOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	users := postgres.UsersTx(tx)
	if err := pay(b.t.Context(), users, id, "a"); err != nil {
		b.t.Fatal(err)
	}
	o.Status, o.EndedAt = lambdabiz.StatusSucceeded, b.now
	return &staged{
		bundle: b, s: s, id: id, worker: b.worker, t: tx, pid: users.Conn().PgConn().PID(),
		c: &lambdabiz.Commit{Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{o}},
	}
}

// takeOver declares the worker dead, and another one takes the run.
func (x *staged) takeOver() error {
	ctx := context.Background()
	if err := x.Leave(ctx, x.worker, 0); err != nil {
		return err
	}
	other, err := x.Join(ctx, lambdabiz.WorkerInfo{Names: []string{"Order"}, Version: "v1"})
	if err != nil {
		return err
	}
	claims, err := x.Claim(ctx, lambdabiz.ClaimRequest{Worker: other, Names: []string{"Order"}, Limit: 1000, Now: x.now})
	for i := range claims.Runs {
		if c := &claims.Runs[i]; c.ID == x.id {
			x.next = c
		}
	}
	x.bundle.worker = other
	return err
}

// verdict says what is wrong when the step has ended with err, and the next worker has the run.
func (x *staged) verdict(err error) string {
	paid := len(x.s.payments(x.id))
	switch {
	case x.next == nil:
		return "nobody has got the run"
	case err != nil && !errors.Is(err, lambdabiz.ErrFenced):
		return "it ends with " + err.Error()
	case err == nil && paid != 1, err != nil && paid != 0:
		return fmt.Sprintf("it was paid %d times, and the step ends with %v", paid, err)
	}
	for i := range x.next.Operations {
		if o := &x.next.Operations[i]; o.Number == 1 && (o.Status == lambdabiz.StatusSucceeded) != (paid == 1) {
			return fmt.Sprintf("it was paid %d times, and the next worker finds the step as %v, so it will be paid again", paid, o.Status)
		}
	}
	return ""
}

// beforeIt: the worker has been replaced when its step ends.
func (x *staged) beforeIt() string {
	if err := x.takeOver(); err != nil {
		return err.Error()
	}
	return x.verdict(x.t.Commit(context.Background(), x.c))
}

// meanwhile: it is being replaced when the run was looked at, and the COMMIT is about to be sent.
func (x *staged) meanwhile() string {
	ended := make(chan struct{})
	var fault error
	first := true
	x.BeforeCommit(func(*pgx.Conn) {
		if !first {
			return
		}
		first = false
		go func() {
			defer close(ended)
			fault = x.takeOver()
		}()
		waitUntilWaitedFor(x.s.t.(*testing.T), x.url, x.pid, ended)
	})
	defer x.BeforeCommit(nil)
	err := x.t.Commit(context.Background(), x.c)
	<-ended
	if fault != nil {
		return fault.Error()
	}
	return x.verdict(err)
}

// together: nobody waits for the other.
func (x *staged) together() string {
	var fault, err error
	var both sync.WaitGroup
	both.Go(func() { fault = x.takeOver() })
	both.Go(func() { err = x.t.Commit(context.Background(), x.c) })
	both.Wait()
	if fault != nil {
		return fault.Error()
	}
	return x.verdict(err)
}

func stages(t *testing.T) (*bundle, *shop) {
	t.Helper()
	s := newShop(t)
	b := setupAt(t, s.url)
	b.SetLockTimeout(0)
	return b, s
}

func TestAStepOfAReplacedWorkerHasOneEffect(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t)
	b, s := stages(t)
	for round := range 30 {
		for name, do := range map[string]func(*staged) string{
			"before": (*staged).beforeIt, "meanwhile": (*staged).meanwhile, "together": (*staged).together,
		} {
			if complaint := do(stage(b, s, fmt.Sprint(name, round))); complaint != "" {
				t.Errorf("%s, round %d: %s", name, round, complaint)
			}
		}
	}
}

func TestSabotageStepsOfReplacedWorkers(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t)
	t.Run("the fence", func(t *testing.T) {
		t.Parallel()
		b, s := stages(t)
		b.WithoutFence()
		campaign.Red(t, "F5", "the fence of the run", stage(b, s, "x").beforeIt())
	})
	t.Run("the lock", func(t *testing.T) {
		t.Parallel()
		b, s := stages(t)
		b.WithoutShare()
		campaign.Red(t, "F5", "the lock of the run's row", stage(b, s, "x").meanwhile())
	})
}

// An answer to COMMIT is lost. What became of it is found, and the step runs again only if nothing of it is there.
func TestAStepWhoseCommitHasNoAnswer(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t)
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			var calls atomic.Int64
			d := order(func(o lambdabiz.Context, id string) (string, error) {
				return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
					by := fmt.Sprint("call ", calls.Add(1))
					return by, pay(ctx, tx, id, by)
				})
			})
			e, b := s.client(lambdabiz.Config{}, d)
			var once sync.Once
			b.BeforeCommit(func(conn *pgx.Conn) {
				if conn.PgConn().TxStatus() != 'T' || calls.Load() == 0 {
					return
				}
				once.Do(func() {
					if applied {
						if _, err := conn.Exec(context.Background(), "COMMIT"); err != nil {
							t.Error(err)
						}
					}
					_ = conn.PgConn().Conn().Close()
				})
			})
			s.run(e)
			got, err := result(t, e, d, "order-1")
			want := map[bool]string{true: "call 1", false: "call 2"}[applied]
			if got != want || err != nil {
				t.Errorf("result %q, %v, want %s", got, err, want)
			}
			if paid := s.payments("order-1"); len(paid) != 1 || paid[0] != want {
				t.Errorf("paid by %v", paid)
			}
			state, err := e.State(t.Context(), "order-1")
			if err != nil || state.Operations[0].Attempts != 1 {
				t.Errorf("state %+v, %v", state, err)
			}
		})
	}
}

// slowCommit is a server that is slow with a COMMIT whose connection is lost: it does it when somebody waits for it.
func slowCommit(t *testing.T, sabotage func(b *postgres.Backend)) (paid int, calls int64) {
	t.Helper()
	s := newShop(t)
	config, err := pgxpool.ParseConfig(s.url)
	if err != nil {
		t.Fatal(err)
	}
	cuttables(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	backend, err := postgres.New(pool, home.config)
	if err != nil {
		t.Fatal(err)
	}
	sabotage(backend)
	b := &bundle{Backend: backend, t: t, url: s.url, now: time.Now()}
	b.worker = b.join("v1", "Order")
	b.SetLockTimeout(0)
	x := stage(b, s, "x")
	ended := make(chan struct{})
	var once sync.Once
	b.BeforeCommit(func(conn *pgx.Conn) {
		line, ok := conn.PgConn().Conn().(*cuttable)
		if !ok || conn.PgConn().PID() != x.pid {
			return
		}
		once.Do(func() {
			line.cut.Store(true)
			go func() {
				defer close(ended)
				commitWhenWaitedFor(t, s.url, line.Conn, x.pid)
			}()
		})
	})
	again := x.t.Commit(context.Background(), x.c)
	if again != nil && !errors.Is(again, lambdabiz.ErrFenced) { // the engine would call the body again
		calls = 2
		if err := s.pool.QueryRow(t.Context(), "SELECT 1 FROM lambdabiz.runs FOR UPDATE").Scan(new(int)); err != nil {
			t.Error(err) // somebody waits now
		}
	} else {
		calls = 1
	}
	<-ended
	return len(s.payments("x")), calls
}

func TestAStepsReadBackWaitsForTheServer(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t)
	if paid, calls := slowCommit(t, func(*postgres.Backend) {}); paid != 1 || calls != 1 {
		t.Errorf("it was paid %d times, and would be called %d times", paid, calls)
	}
}

func TestSabotageTheReadBackOfASteps(t *testing.T) {
	t.Parallel()
	onlyOnPostgreSQL(t)
	complaint := ""
	if paid, calls := slowCommit(t, (*postgres.Backend).WithoutWaiting); paid == 1 && calls == 2 {
		complaint = "the first transaction is committed, and the body is called again"
	}
	campaign.Red(t, "F5", "the lock by which who reads back waits", complaint)
}

// A transaction that conflicts with another one is begun again, also when that shows at its COMMIT, or when the orchestration
// has got an event meanwhile.
func TestAStepThatConflictsIsCalledAgain(t *testing.T) {
	t.Parallel()
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.exec("CREATE TABLE stock (n int NOT NULL)")
			s.exec("INSERT INTO stock VALUES (0)")
			const orders = 6
			var calls atomic.Int64
			d := order(func(o lambdabiz.Context, id string) (string, error) {
				return postgres.TxWith(o, "take", pgx.TxOptions{IsoLevel: level}, func(ctx context.Context, tx pgx.Tx) (string, error) {
					calls.Add(1)
					var n int
					if err := tx.QueryRow(ctx, "SELECT n FROM stock").Scan(&n); err != nil {
						return "", err
					}
					if _, err := tx.Exec(ctx, "UPDATE stock SET n = $1", n+1); err != nil {
						return "", err
					}
					return fmt.Sprint(n + 1), pay(ctx, tx, id, "a")
				})
			})
			e, _ := s.worker(lambdabiz.Config{}, d)
			var all sync.WaitGroup
			for i := range orders {
				all.Go(func() {
					if _, err := result(t, e, d, fmt.Sprint("order-", i)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			var n int
			if err := s.pool.QueryRow(t.Context(), "SELECT n FROM stock").Scan(&n); err != nil || n != orders {
				t.Errorf("%d were taken, %v", n, err)
			}
			for i := range orders {
				wantOnce(t, s, fmt.Sprint("order-", i))
			}
			t.Logf("%d calls for %d orders", calls.Load(), orders)
		})
	}
}

// Steps in transactions leave connections for what they wait for, however many there are.
func TestManyStepsShareAPool(t *testing.T) {
	t.Parallel()
	for _, conns := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(conns, " connections"), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			b, err := postgres.Open(t.Context(), fmt.Sprint(s.url, "&pool_max_conns=", conns), home.config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			d := order(func(o lambdabiz.Context, id string) (string, error) {
				return postgres.Tx(o, "pay", func(ctx context.Context, tx pgx.Tx) (string, error) {
					if _, err := tx.Exec(ctx, "SELECT pg_sleep(0.02)"); err != nil { // what has begun is flushed meanwhile
						return "", err
					}
					return "paid", errors.Join(lambdabiz.Heartbeat(ctx, 1), pay(ctx, tx, id, "a"))
				})
			})
			e, err := lambdabiz.New(b, lambdabiz.Config{Logger: nothing})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Register(d); err != nil {
				t.Fatal(err)
			}
			s.run(e)
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() {
					if _, err := result(t, e, d, fmt.Sprint("order-", i)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			for i := range 12 {
				wantOnce(t, s, fmt.Sprint("order-", i))
			}
		})
	}
}
