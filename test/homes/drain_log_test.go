package homes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A deployment cuts what takes longer than its drain. Nothing went wrong, and the attempt does not
// count: a warning would call somebody. An attempt that fails is one, before and after.
func TestDrainWarnsOfNoTaskThatIsNotCharged(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		lives := 0
		long := lambdabiz.NewTask("Long", func(ctx context.Context, _ int) (int, error) {
			if lives++; lives > 1 {
				return 1, nil
			}
			<-ctx.Done()
			return 0, errors.Join(errors.New("it was cut"), context.Cause(ctx))
		})
		d := define(func(o lambdabiz.Context) (int, error) { return lambdabiz.Call(o, "long", long, 0) })
		b.well() // a store that fails is warned of
		e, stop := b.workerWith(lambdabiz.Config{DrainTimeout: time.Second}, d, long)
		run := start(b, e, d, "x", 0)
		time.Sleep(10 * time.Second)
		stop()
		if b.logs.has("level=WARN") || !b.logs.has("attempt cut short") {
			t.Errorf("the log of the drain:\n%s", b.logs.buf.String())
		}
		b.ill()
		b.worker(d, long)
		if result(b, run); lives != 2 || operation(t, b.state(e, "x"), "long").Attempts != 1 {
			t.Errorf("%d lives, %+v", lives, operation(t, b.state(e, "x"), "long"))
		}
	}, notOnSWF("a task is the home's there"), keepsClaims(countsBodies))
}
