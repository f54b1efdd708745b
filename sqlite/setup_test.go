package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// bundle is a backend on a fresh file with one worker, and short words for what tests do with it.
type bundle struct {
	*sqlite.Backend
	t      testing.TB
	path   string
	worker int64
	now    time.Time
}

func setup(t testing.TB) *bundle {
	t.Helper()
	return setupAt(t, filepath.Join(t.TempDir(), "test.db"))
}

func setupAt(t testing.TB, path string) *bundle {
	t.Helper()
	backend, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b := &bundle{Backend: backend, t: t, path: path, now: time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC)}
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

// commit commits one commit that must be applied.
func (b *bundle) commit(c *lambdabiz.Commit) lambdabiz.Verdict {
	b.t.Helper()
	v := b.try(c)
	if v.Err != nil {
		b.t.Fatalf("commit: %v", v.Err)
	}
	return v
}

func (b *bundle) try(c *lambdabiz.Commit) lambdabiz.Verdict {
	b.t.Helper()
	if c.At.IsZero() {
		c.At = b.now
	}
	verdicts, err := b.Commit(b.t.Context(), []*lambdabiz.Commit{c})
	if err != nil {
		b.t.Fatal(err)
	}
	return verdicts[0]
}

func (b *bundle) start(id string) lambdabiz.StartVerdict {
	b.t.Helper()
	return b.startAs(lambdabiz.RunStart{ID: id, RunID: "run-of-" + id, Name: "Order", Claim: true})
}

func (b *bundle) startAs(s lambdabiz.RunStart) lambdabiz.StartVerdict {
	b.t.Helper()
	v := b.commit(&lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{s}}).Starts[0]
	if v.Err != nil {
		b.t.Fatalf("start %s: %v", s.ID, v.Err)
	}
	return v
}

func (b *bundle) raise(r lambdabiz.Raise) error {
	b.t.Helper()
	return b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{r}}).Raises[0].Err
}

func (b *bundle) control(kind lambdabiz.ControlKind, id string) error {
	b.t.Helper()
	return b.commit(&lambdabiz.Commit{Controls: []lambdabiz.Control{{Kind: kind, ID: id, Reason: "test"}}}).Controls[0]
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

func (b *bundle) operation(number int64) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: number, ID: fmt.Sprintf("Operation%d", number), Kind: lambdabiz.KindTask, Name: "Number",
		Status: lambdabiz.StatusSucceeded, Attempts: 1,
		Input: lambdabiz.Payload(`{"number1":15,"number2":5}`), Result: lambdabiz.Payload(`{"result":20}`),
		ScheduledAt: b.now, StartedAt: b.now.Add(20 * time.Microsecond), EndedAt: b.now.Add(700 * time.Microsecond),
	}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}
