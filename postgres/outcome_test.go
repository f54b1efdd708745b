package postgres_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// loseAnswer makes the answer to the next COMMIT get lost, after the server has applied it or before.
func (b *bundle) loseAnswer(applied bool) (lost *bool) {
	lost = new(bool)
	b.BeforeCommit(func(conn *pgx.Conn) {
		if *lost {
			return
		}
		*lost = true
		if applied {
			if _, err := conn.Exec(context.Background(), "COMMIT"); err != nil {
				b.t.Error(err)
			}
		}
		_ = conn.PgConn().Conn().Close()
	})
	return lost
}

// What each kind of write leaves, and whether it is there.
var writes = []struct {
	name   string
	commit func(b *bundle) *lambdabiz.Commit
	done   func(b *bundle) bool
}{
	{"a start", func(b *bundle) *lambdabiz.Commit {
		return &lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{startOf("new")}}
	}, func(b *bundle) bool {
		_, err := b.Load(b.t.Context(), "new", "")
		return err == nil
	}},
	{"an operation", func(b *bundle) *lambdabiz.Commit {
		ref := b.start("old")
		return &lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}}
	}, func(b *bundle) bool { return len(b.load("old").Operations) == 1 }},
	{"an end", func(b *bundle) *lambdabiz.Commit {
		ref := b.start("old")
		return &lambdabiz.Commit{Run: &ref, Worker: b.worker, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}
	}, func(b *bundle) bool { return b.load("old").Status.Ended() }},
	{"a raise from outside", func(b *bundle) *lambdabiz.Commit {
		b.start("old")
		return &lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "old", Name: "e"}}}
	}, func(b *bundle) bool { return len(b.load("old").Messages) == 1 }},
}

func TestLostAnswersToCommitsAreFound(t *testing.T) {
	t.Parallel()
	for _, w := range writes {
		for _, applied := range []bool{true, false} {
			name := map[bool]string{true: ", applied", false: ", not applied"}[applied]
			t.Run(w.name+name, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				c := w.commit(b)
				c.At = b.now
				lost := b.loseAnswer(applied)
				verdicts, err := b.Commit(t.Context(), []*lambdabiz.Commit{c})
				if !*lost {
					t.Fatal("no answer was lost")
				}
				if err != nil || verdicts[0].Err != nil {
					t.Fatal(err, verdicts)
				}
				if !w.done(b) {
					t.Error("it is not written")
				}
			})
		}
	}
}

func TestLostAnswersToClaimsAreFound(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		t.Run(map[bool]string{true: "applied", false: "not applied"}[applied], func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			s := startOf("a")
			s.Claim = false
			b.commit(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s}})
			b.loseAnswer(applied)
			claims, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{
				Worker: b.worker, Names: []string{"Order"}, Limit: 1, Now: b.now,
			})
			if err != nil || len(claims.Runs) != 1 {
				t.Fatalf("%d runs, error %v", len(claims.Runs), err)
			}
			if b.load("a").Worker == 0 {
				t.Error("nobody holds it")
			}
		})
	}
}

func isTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary() && !errors.Is(err, lambdabiz.ErrOutcomeUnknown)
}

// cuttables makes connections that can be cut.
func cuttables(config *pgxpool.Config) {
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &cuttable{Conn: conn}, err
	}
}

// Who reads back must not look before the server is through with the lost connection: what is not there yet may still come.
func TestReadBackWaitsForTheLane(t *testing.T) {
	t.Parallel()
	url := database(t)
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cuttables(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	backend, err := postgres.New(pool, home.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	b := &bundle{Backend: backend, t: t, url: url, now: time.Now()}
	b.worker = b.join("v1", "Order")
	ref := b.start("a")
	c := &lambdabiz.Commit{Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)}}

	// The server is slow: it still has the transaction when its connection is lost, and commits it when somebody waits for it.
	b.SetLockTimeout(0)
	slow := false
	b.BeforeCommit(func(conn *pgx.Conn) {
		if slow {
			return
		}
		slow = true
		line, ok := conn.PgConn().Conn().(*cuttable)
		if !ok {
			t.Errorf("the connection is a %T", conn.PgConn().Conn())
			return
		}
		line.cut.Store(true)
		pid := conn.PgConn().PID()
		go commitWhenWaitedFor(t, url, line.Conn, pid)
	})
	verdicts, err := b.Commit(t.Context(), []*lambdabiz.Commit{c})
	if err != nil || verdicts[0].Err != nil {
		t.Fatalf("it was applied: %v", err)
	}
	if n := len(b.load("a").Operations); n != 1 {
		t.Errorf("%d operations", n)
	}
}
