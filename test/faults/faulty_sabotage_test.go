package faults_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// dropper acknowledges commits that it drops: it breaks the contract.
type dropper struct {
	lambdabiz.Backend
	drops func(c *lambdabiz.Commit) bool
}

// Commit applies what is not dropped, and says that all was.
func (d *dropper) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	verdicts := make([]lambdabiz.Verdict, len(batch))
	var rest []*lambdabiz.Commit
	var places []int
	for i, c := range batch {
		if d.drops(c) {
			verdicts[i] = lambdabiz.Verdict{Raises: make([]lambdabiz.RaiseVerdict, len(c.Raises)), Held: true}
			continue
		}
		rest, places = append(rest, c), append(places, i)
	}
	applied, err := d.Backend.Commit(ctx, rest)
	if err != nil {
		return nil, err
	}
	for i, v := range applied {
		verdicts[places[i]] = v
	}
	return verdicts, nil
}

// Without its word a backend is worth nothing, and the checks must say so.
func TestSabotageOfTheStore(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	type every struct { // every nth of some commits
		n  int64
		is func(c *lambdabiz.Commit) bool
	}
	for name, dropped := range map[string]every{
		"a result that is acknowledged is on disk": {9, func(c *lambdabiz.Commit) bool {
			return c.Run != nil && len(c.Operations) > 0 && len(c.Starts)+len(c.Raises)+len(c.Controls) == 0 && c.Close == nil
		}},
		"an event that is acknowledged is on disk": {3, func(c *lambdabiz.Commit) bool {
			return c.Run == nil && len(c.Raises) > 0
		}},
		"an end that is acknowledged is on disk": {3, func(c *lambdabiz.Commit) bool {
			return c.Run != nil && c.Close != nil && len(c.Starts)+len(c.Raises)+len(c.Controls) == 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			complaint := campaign.UntilRed(func(round int) string {
				var seen atomic.Int64
				drops := func(c *lambdabiz.Commit) bool {
					if !dropped.is(c) {
						return false
					}
					return seen.Add(1)%dropped.n == 0
				}
				return faultyRound(t, inMemory, campaign.Random(seed, round), 1, &storm{}, func(b lambdabiz.Backend) lambdabiz.Backend {
					return &dropper{b, drops}
				})
			})
			campaign.Red(t, "F29", fmt.Sprintf("the promise that %q", name), complaint)
		})
	}
}
