package sqlite_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// rot writes into the file what no version has written.
func (b *bundle) rot(statements ...string) {
	b.t.Helper()
	db, err := sqlite3.Open("file:" + b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, statement := range statements {
		if err := db.Exec(statement); err != nil {
			b.t.Fatal(err)
		}
		if db.Changes() == 0 {
			b.t.Fatalf("%s has changed nothing", statement)
		}
	}
	if err := db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

// What cannot be read of one orchestration is that one's affair: it is set aside with the reason, and all the
// others are claimed, listed, started and committed as if it was not there.
func TestRowThatCannotBeReadHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"tags":     `UPDATE runs SET tags = '{"a":' WHERE id = 'b'`,
		"blocked":  `UPDATE runs SET blocked = '[' WHERE id = 'b'`,
		"mode":     `UPDATE operations SET kind = 999 WHERE run_no = (SELECT no FROM runs WHERE id = 'b')`,
		"error":    `UPDATE operations SET error = 'x' WHERE run_no = (SELECT no FROM runs WHERE id = 'b')`,
		"messages": `UPDATE inbox SET error = 'x' WHERE run_no = (SELECT no FROM runs WHERE id = 'b')`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for _, id := range []string{"a", "b", "c"} {
				v := b.startAs(lambdabiz.RunStart{
					ID: id, RunID: "run-of-" + id, Name: "Order", Claim: true, Tags: map[string]string{"k": "v"},
				})
				b.commit(&lambdabiz.Commit{Run: &v.Run, Operations: []lambdabiz.Operation{{
					Number: 1, ID: "op", Kind: lambdabiz.KindStep, Status: lambdabiz.StatusStarted, ScheduledAt: b.now,
				}}})
				b.commit(&lambdabiz.Commit{Run: &v.Run, Release: &lambdabiz.Release{WakeAt: b.now}})
				if err := b.raise(lambdabiz.Raise{ID: id, Name: "e"}); err != nil {
					t.Fatal(err)
				}
			}
			b.rot(statement)
			held := b.wantClaimed("a", "c")
			b.others(held)
			b.aside(name)
			b.now = b.now.Add(10 * time.Minute) // it is tried again
			if name == "blocked" {              // which was replaced
				b.wantClaimed("b", "d")
				return
			}
			b.wantClaimed("d")
			b.aside(name)
			b.rot(`UPDATE runs SET tags = '{"a":"b"}', blocked = NULL WHERE id = 'b'`, `UPDATE inbox SET error = NULL`,
				`UPDATE operations SET kind = 1, error = NULL`)
			if err := b.control(lambdabiz.ControlResume, "b"); err != nil {
				t.Fatal(err)
			}
			b.wantClaimed("b")
		})
	}
}

// wantClaimed claims and wants these runs.
func (b *bundle) wantClaimed(want ...string) []lambdabiz.Claimed {
	b.t.Helper()
	claims := b.claim(10, 0)
	var got []string
	for i := range claims.Runs {
		got = append(got, claims.Runs[i].ID)
	}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		b.t.Fatalf("claimed are %q, want %q", got, want)
	}
	return claims.Runs
}

// others: the rest of the store works, also in a batch with what cannot be read.
func (b *bundle) others(held []lambdabiz.Claimed) {
	b.t.Helper()
	verdicts, err := b.Commit(b.t.Context(), []*lambdabiz.Commit{
		{At: b.now, Starts: []lambdabiz.RunStart{{ID: "b", RunID: "new", Name: "Order"}}},
		{At: b.now, Starts: []lambdabiz.RunStart{{ID: "d", RunID: "d", Name: "Order"}}},
		{At: b.now, Run: &held[0].Ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}},
	})
	if err != nil || len(verdicts) != 3 || verdicts[1].Err != nil || !verdicts[1].Starts[0].Created || verdicts[2].Err != nil {
		b.t.Fatalf("a batch with the start of it gives %+v, %v", verdicts, err)
	}
	if started := verdicts[0]; started.Err == nil && started.Starts[0].Created {
		b.t.Errorf("the id was used, and there is a new run: %+v", started)
	}
	if rec, err := b.Load(b.t.Context(), "a", ""); err != nil || rec.Status != lambdabiz.StatusSucceeded {
		b.t.Errorf("a is %+v, %v", rec, err)
	}
	if _, err := b.Join(b.t.Context(), lambdabiz.WorkerInfo{Names: []string{"Order"}, Version: "v2"}); err != nil {
		b.t.Error(err)
	}
	for _, f := range []lambdabiz.Filter{{}, {Tags: map[string]string{"k": "v"}}, {Blocked: true}} {
		if _, err := b.List(b.t.Context(), f); err != nil {
			b.t.Errorf("list %+v: %v", f, err)
		}
	}
}

// aside: the list has it, and says why it does not go on; reading it says so too.
func (b *bundle) aside(column string) {
	b.t.Helper()
	page, err := b.List(b.t.Context(), lambdabiz.Filter{Blocked: true})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "b" || page.Runs[0].Blocked == nil {
		b.t.Fatalf("blocked are %+v, %v", page.Runs, err)
	}
	if why := page.Runs[0].Blocked.Reason; !strings.Contains(why, "cannot be read") {
		b.t.Errorf("%s: it is blocked because %q", column, why)
	}
	if _, err := b.Load(b.t.Context(), "b", ""); column != "blocked" && (err == nil || errors.Is(err, lambdabiz.ErrNotFound)) {
		b.t.Errorf("loading it gives %v", err)
	}
}
