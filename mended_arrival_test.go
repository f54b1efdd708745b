package lambdabiz_test

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
