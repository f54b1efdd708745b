package homes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Where a commit ends the claim, a message that came under the next claim was taken in before that claim's own,
// older ones, while the verdict on the commit was on its way: the older ones counted as seen, and nothing ever
// woke their wait.
func TestMessageThatOvertakesItsClaimHidesNone(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		slow := false
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if !slow && batch[0].Run != nil {
				slow = true
				time.Sleep(10 * time.Second)
			}
			return v, err
		}}
		d := define(func(o lambdabiz.Context) (int, error) {
			sum := 0
			for i := range 2 {
				v, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("w", i), lambdabiz.Named("e"))
				if err != nil {
					return 0, err
				}
				sum = 10*sum + v
			}
			return sum, nil
		})
		e, _ := b.worker(d)
		b.backend = inner
		other := b.engine(lambdabiz.Config{}) // its commits do not wait behind the slow one
		run := start(b, e, d, "x", 0)
		for i := range 2 {
			time.Sleep(2 * time.Second)
			raise(b, other, "x", "e", i+1)
		}
		ctx, cancel := within(b, time.Minute)
		defer cancel()
		if got, err := run.Result(ctx); got != 12 || err != nil {
			t.Errorf("result %d, %v; state %+v", got, err, b.state(e, "x"))
		}
	}, "memory, a commit ends the claim")
}

// Where a commit ends the claim, a message under a claim whose answer was still on its way was dropped, as the next
// commit would ask for it again. But a newer one that came between the answer and that commit hid it for ever.
func TestNewerMessageHidesNoneOfAClaimToCome(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		verdict := time.Now().Add(20 * time.Second)
		slow := false
		b.backend = &proxy{
			Backend: inner,
			commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
				v, err := inner.Commit(ctx, batch)
				if !slow {
					slow = true
					time.Sleep(time.Until(verdict)) // the answer to the next claim waits for it
				}
				return v, err
			},
			claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
				c, err := inner.Claim(ctx, r)
				if len(c.Arrived) == 1 && string(c.Arrived[0].Messages[0].Payload) == "3" {
					time.Sleep(time.Until(verdict.Add(time.Millisecond))) // after that answer, before the next commit
				}
				return c, err
			},
		}
		d := define(func(o lambdabiz.Context) (int, error) {
			sum := 0
			for i := range 3 {
				v, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("w", i), lambdabiz.Named("e"))
				if err != nil {
					return 0, err
				}
				sum = 10*sum + v
				time.Sleep(2 * time.Millisecond) // it computes
			}
			return sum, nil
		})
		e, _ := b.worker(d)
		b.backend = inner
		client := b.engine(lambdabiz.Config{}, d)
		start(b, client, d, "x", 0)
		for i := range 3 {
			time.Sleep(4 * time.Second)
			raise(b, client, "x", "e", i+1)
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if got, err := lambdabiz.Get(e, d, "x").Result(ctx); got != 123 || err != nil {
			t.Errorf("result %d, %v; state %+v", got, err, b.state(client, "x"))
		}
	}, "memory, a commit ends the claim")
}
