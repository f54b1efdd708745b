package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// bundle is a backend on a fresh database with one worker, and short words for what tests do with it.
type bundle struct {
	*postgres.Backend
	t      testing.TB
	url    string
	worker int64
	now    time.Time
}

// moment is when tests play.
var moment = time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC)

func setup(t testing.TB) *bundle {
	t.Helper()
	return setupAt(t, database(t))
}

func setupAt(t testing.TB, url string) *bundle {
	t.Helper()
	b := &bundle{Backend: open(t, url), t: t, url: url, now: moment}
	b.worker = b.join("v1", "Order")
	return b
}

func (b *bundle) join(version string, names ...string) int64 {
	b.t.Helper()
	worker, err := b.Join(b.t.Context(), lambdabiz.WorkerInfo{Names: names, Version: version})
	if err != nil {
		b.t.Fatal(err)
	}
	return worker
}

func (b *bundle) commitAll(commits ...*lambdabiz.Commit) []lambdabiz.Verdict {
	b.t.Helper()
	for _, c := range commits {
		if c.At.IsZero() {
			c.At = b.now
		}
	}
	verdicts, err := b.Commit(b.t.Context(), commits)
	if err != nil {
		b.t.Fatal(err)
	}
	return verdicts
}

// commit commits one commit that must be applied.
func (b *bundle) commit(c *lambdabiz.Commit) lambdabiz.Verdict {
	b.t.Helper()
	v := b.commitAll(c)[0]
	if v.Err != nil {
		b.t.Fatalf("commit: %v", v.Err)
	}
	return v
}

func startOf(id string) lambdabiz.RunStart {
	return lambdabiz.RunStart{ID: id, RunID: "run-of-" + id, Name: "Order", Claim: true}
}

func (b *bundle) start(id string) lambdabiz.RunRef {
	b.t.Helper()
	v := b.commit(&lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{startOf(id)}}).Starts[0]
	if v.Err != nil || !v.Created {
		b.t.Fatalf("start %s: created %v, %v", id, v.Created, v.Err)
	}
	return v.Run
}

func (b *bundle) control(kind lambdabiz.ControlKind, id, reason string) {
	b.t.Helper()
	c := &lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: kind, ID: id, Reason: reason}}}
	if err := b.commit(c).Controls[0]; err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) claim(limit int, after int64) lambdabiz.Claims {
	b.t.Helper()
	claims, err := b.Claim(b.t.Context(), lambdabiz.ClaimRequest{
		Worker: b.worker, Names: []string{"Order"}, Limit: limit, Now: b.now, After: after,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return claims
}

func (b *bundle) load(id string) *lambdabiz.Record {
	b.t.Helper()
	record, err := b.Load(b.t.Context(), id, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return record
}

func operation(number int64) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: number, ID: fmt.Sprintf("Operation%d", number), Kind: lambdabiz.KindTask, Name: "Number",
		Status: lambdabiz.StatusSucceeded, Attempts: 1, Result: lambdabiz.Payload(`{"result":20}`),
	}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func (b *bundle) count(query string) (n int) {
	b.t.Helper()
	err := b.On(b.t.Context(), func(conn *pgx.Conn) error { return conn.QueryRow(b.t.Context(), query).Scan(&n) })
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}
