package swf_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// rounds is an orchestration of five runs that last a minute each.
var rounds = lambdabiz.Define("Rounds", func(o lambdabiz.Context, round int) (int, error) {
	if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil || round >= 4 {
		return round, err
	}
	return 0, lambdabiz.ContinueAsNew(o, round+1)
})

// The handle's run goes when its retention is over, though the orchestration goes on. A stranger's is not taken for it.
func TestResultFollowsAChainWhoseEarlierHistoriesAreGone(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a store %v", stored), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				config := configFor(server)
				if stored {
					config.Store = memory.NewStore()
				}
				p := client(t, config).workOn(rounds)
				policy := lambdabiz.OnUsedID(lambdabiz.RejectOpen)
				run, err := lambdabiz.Start(t.Context(), p.Engine, rounds, "x", 0, policy)
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(2*time.Minute + 30*time.Second)
				server.Expire("LambdaBiz")
				if _, err := p.StateOf(t.Context(), "x", run.RunID()); !errors.Is(err, lambdabiz.ErrNotFound) {
					t.Fatalf("the first run is still there: %v", err)
				}
				if out, err := run.Result(t.Context()); err != nil || out != 4 {
					t.Errorf("the result is %d, %v", out, err)
				}
				<-time.After(time.Minute)
				server.Expire("LambdaBiz")
				if stored { // the copy of the last run stays
					if out, err := run.Result(t.Context()); err != nil || out != 4 {
						t.Errorf("the result is %d, %v", out, err)
					}
				}
				if _, err := lambdabiz.Start(t.Context(), p.Engine, rounds, "x", 3, policy); err != nil {
					t.Fatal(err)
				}
				<-time.After(90 * time.Second)
				if out, err := run.Result(t.Context()); !errors.Is(err, lambdabiz.ErrNotFound) {
					t.Errorf("the result is %d, %v", out, err)
				}
			})
		})
	}
}
