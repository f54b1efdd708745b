package homes_test

import (
	"slices"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A resumed function may end before a branch that it does not wait for has come again to what it has recorded. That was
// reported as an orphan, now and then, though the operation is in the code.
func TestARecordOfABranchThatNobodyWaitsForWasAnOrphan(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var slow chan struct{} // holds the branch in the second pass; not in the first one
		code := lambdabiz.Define("Unawaited", func(o lambdabiz.Context, gone bool) (int, error) {
			hold := slow
			lambdabiz.Go(o, "aside", func(o lambdabiz.Context) (int, error) {
				if hold != nil {
					<-hold
				}
				return 0, lambdabiz.Sleep(o, "moment", time.Second)
			})
			if !gone {
				if err := lambdabiz.Sleep(o, "removed", time.Second); err != nil {
					return 0, err
				}
			}
			return 0, lambdabiz.Sleep(o, "rest", time.Minute)
		})
		e, stop := b.worker(code)
		run := start(b, e, code, "x", false)
		time.Sleep(30 * time.Second)
		stop()
		slow = make(chan struct{})
		e, _ = b.worker(code)
		result(b, run)
		close(slow)
		if s := b.state(e, "x"); len(s.Orphans) > 0 || !slices.ContainsFunc(s.Operations, func(o lambdabiz.Operation) bool {
			return o.ID == "aside/moment"
		}) {
			t.Errorf("orphans are %q in %+v", s.Orphans, s.Operations)
		}
	}, bears(20, "its branch is held before the timer is recorded"))
}
