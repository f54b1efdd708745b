package lambdahandler_test

import (
	"context"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func (b *bench) pulse() time.Duration {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	begin := time.Now()
	if err := b.Pulse(ctx); err != nil || ctx.Err() != nil {
		b.t.Fatal(err, ctx.Err())
	}
	b.noLatePoll(begin.Add(45 * time.Second))
	return time.Since(begin)
}

func TestPulseServesAllUntilItsTimeIsUp(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		for n, id := range []string{"a", "b", "c"} {
			if _, err := lambdabiz.Start(b.t.Context(), b.client, approval, id, n); err != nil {
				t.Fatal(err)
			}
		}
		if took := b.pulse(); took < 45*time.Second {
			t.Errorf("it took %v only", took)
		}
		for _, id := range []string{"a", "b", "c"} {
			state, err := b.client.State(b.t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want(t, state, lambdabiz.StatusStarted, "", "Approve")
			b.raise(id, "Approve", true)
		}
		b.pulse() // the same process, once more
		for n, id := range []string{"a", "b", "c"} {
			out, err := lambdabiz.Get(b.client, approval, id).Result(b.t.Context())
			if err != nil || out != 2*n {
				t.Errorf("%s: %d, %v", id, out, err)
			}
		}
		if b.invocations("Double") != 3 {
			t.Errorf("%d invocations", b.invocations("Double"))
		}
	})
}
