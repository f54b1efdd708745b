package orders_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// burst is what has come of each sender so far, and how many are to come. ContinueAsNew hands it on.
type burst struct {
	Senders, Each int
	Got           int // events so far
}

// perRun is how many events one run of the receiver takes.
const perRun = 500

// receive takes the events of all senders in turn, with a step between some of them, and fails when one is
// not the next of its sender.
var receive = lambdabiz.Define("Receive", func(o lambdabiz.Context, in burst) (int, error) {
	for taken := 0; in.Got < in.Senders*in.Each; taken++ {
		if taken == perRun {
			return 0, lambdabiz.ContinueAsNew(o, in)
		}
		sender, want := in.Got%in.Senders, in.Got/in.Senders
		got, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("event ", in.Got), lambdabiz.Named(fmt.Sprint("sender ", sender)))
		if err != nil {
			return in.Got, err
		}
		if got != want {
			return in.Got, fmt.Errorf("sender %d: event %d came in place of %d", sender, got, want)
		}
		if in.Got++; in.Got%20 == 0 {
			if err := lambdabiz.Do(o, fmt.Sprint("step ", in.Got), func(context.Context) error { return nil }); err != nil {
				return in.Got, err
			}
		}
	}
	return in.Got, nil
})

// sendBurst raises n events in one orchestration from ten senders at once, while it commits.
func sendBurst(t *testing.T, h home, n int, counts *tally, seenAs func(lambdabiz.Backend) lambdabiz.Backend) string {
	t.Helper()
	return h.perform(t, func(s *stage) {
		b := seenAs(&between{Backend: s.store, commit: func(
			ctx context.Context, batch []*lambdabiz.Commit,
		) ([]lambdabiz.Verdict, error) {
			verdicts, err := s.store.Commit(ctx, batch)
			for i, c := range batch {
				if c.Run != nil && i < len(verdicts) {
					counts.add("commits", 1)
					if errors.Is(verdicts[i].Err, lambdabiz.ErrStale) {
						counts.add("overtaken", 1)
					}
				}
			}
			return verdicts, err
		}})
		const senders = 10
		// Held back, or virtual time would stand still until all is sent.
		b = slow(b, &dice{random: rand.New(rand.NewPCG(uint64(n), 0))}, 2, counts)
		e, _ := s.worker(b, lambdabiz.Config{}, receive)
		client := s.engine(b, lambdabiz.Config{})
		run := begin(s, e, receive, "x", burst{Senders: senders, Each: n / senders})
		var all sync.WaitGroup
		for sender := range senders {
			all.Go(func() {
				for i := range n / senders {
					if !s.must(client.RaiseEvent(s.ctx, "x", fmt.Sprint("sender ", sender), i), "raise") {
						return
					}
					counts.add("events", 1)
				}
			})
		}
		all.Wait()
		if got := result(s, run); got != n {
			s.complainf("%d events of %d came", got, n)
		}
		if rec, ok := s.load("x"); ok && len(rec.Messages) > 0 {
			s.complainf("%d events are left over", len(rec.Messages))
		}
	})
}

// burstSize is the number of events: 10,000 in a campaign.
func burstSize() int {
	if _, campaigning := os.LookupEnv(campaign.CyclesVariable); campaigning {
		return 10_000
	}
	return 1_500
}

// F12: thousands of events come to one orchestration while it commits.
func TestBurstOfEvents(t *testing.T) {
	t.Parallel()
	var counts tally
	must := func() []campaign.Count { return counts.list("events", "commits", "overtaken") }
	for round := range campaign.More(campaign.Rounds(t, 2, 100), must) {
		if complaint := sendBurst(t, homes[round%len(homes)], burstSize(), &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F12", must())
}

// shuffled hands out messages in another order than the one in which they arrived.
func shuffled(b lambdabiz.Backend) lambdabiz.Backend {
	return &between{Backend: b, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
		c, err := b.Claim(ctx, r)
		for _, a := range c.Arrived {
			slices.Reverse(a.Messages)
		}
		return c, err
	}}
}

func TestSabotageBurst(t *testing.T) {
	t.Parallel()
	for protection, remove := range map[string]func(lambdabiz.Backend) lambdabiz.Backend{
		"the order of messages":        shuffled,
		"storing what is acknowledged": losing,
	} {
		t.Run(protection, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F12", protection, campaign.UntilRed(func(int) string {
				return sendBurst(t, homes[0], 500, &tally{}, remove)
			}))
		})
	}
}
