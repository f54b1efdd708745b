package postgres_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// A purge is cut at each of its commits. What is left of a run is all of it or nothing, and what starts with its id later has
// nothing of it.
func TestAPurgeThatIsCutLeavesNoParts(t *testing.T) {
	t.Parallel()
	cuts := 0
	for cut := 1; ; cut++ {
		b := setup(t)
		const count = 3
		for n := range count {
			id := fmt.Sprint("order-", n)
			ref := b.start(id)
			b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: id, Name: "e", Key: "k"}}})
			b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
			b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
		}
		commits := 0
		b.BeforeCommit(func(conn *pgx.Conn) {
			if commits++; commits >= cut { // one alone is done again
				_ = conn.Close(t.Context())
			}
		})
		_, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: "order-0"})
		b.BeforeCommit(nil)
		if err == nil {
			break
		}
		cuts++
		there := map[string]int{}
		for _, table := range []string{"runs", "operations", "inbox", "keys"} {
			there[table] = b.count("SELECT count(*) FROM lambdabiz." + table)
		}
		runs := there["runs"]
		if runs < count-1 || there["operations"] != runs || there["inbox"] != runs || there["keys"] != runs {
			t.Errorf("cut at commit %d: parts are left: %v", cut, there)
		}
		if _, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{ID: "order-0"}); err != nil {
			t.Fatal(err)
		}
		b.start("order-0")
		if r := b.load("order-0"); len(r.Operations)+len(r.Messages) != 0 || r.Status.Ended() {
			t.Errorf("cut at commit %d: the next run has %+v", cut, r)
		}
		v := b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "order-0", Name: "e", Key: "k"}}})
		if len(b.load("order-0").Messages) != 1 {
			t.Errorf("cut at commit %d: a key of the former run is known: %+v", cut, v.Raises)
		}
	}
	campaign.Report(t, "F37", []campaign.Count{{What: "purges cut", N: cuts}})
}
