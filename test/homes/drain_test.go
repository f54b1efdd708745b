package homes_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A deployment cuts what takes longer than its drain. Nothing went wrong, and the attempt does not
// count: a warning would call somebody. An attempt that fails is one, before and after.
// Row 130 of docs/proof/bugs.md.
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
		if b.logged("level=WARN") || !b.logged("attempt cut short") {
			t.Errorf("the log of the drain:\n%s", b.logs.String())
		}
		b.ill()
		b.worker(d, long)
		if result(b, run); lives != 2 || operation(t, b.state(e, "x"), "long").Attempts != 1 {
			t.Errorf("%d lives, %+v", lives, operation(t, b.state(e, "x"), "long"))
		}
	}, notOnSWF("a task is the home's there"), keepsClaims(countsBodies))
}

// A worker that stops while a commit which ends the claim is on its way has nothing to wait for.
func TestDrainDuringACommit(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var d atomic.Int64
		slow(b, &d)
		def := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", 10*time.Second); err != nil {
				return 0, err
			}
			return 1, lambdabiz.Sleep(o, "t", time.Hour)
		})
		e, stop := b.worker(def)
		start(b, e, def, "a", 1)
		time.Sleep(time.Second)
		d.Store(int64(time.Second))
		time.Sleep(9*time.Second + 500*time.Millisecond)
		at := time.Now()
		stop()
		if took := time.Since(at); took > 3*time.Second {
			t.Errorf("the drain took %v", took)
		}
	}, "memory, a commit ends the claim", "memory")
}

// A result that a body gave during the drain is recorded, also when another body does not end.
// Row 17 of docs/proof/bugs.md.
func TestDrainRecordsWhatHasEnded(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		defer close(release)
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			quick := lambdabiz.Go(o, "quick", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { time.Sleep(5 * time.Second); return 1, nil })
			})
			stuck := lambdabiz.Go(o, "stuck", func(o lambdabiz.Context) (int, error) {
				return lambdabiz.Step(o, "s", func(context.Context) (int, error) { <-release; return 1, nil })
			})
			_, _ = quick.Wait(o)
			return stuck.Wait(o)
		})
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		stop()
		if op := operation(t, b.state(e, "x"), "quick/s"); op.Status != lambdabiz.StatusSucceeded {
			t.Errorf("the step that ended 4 s after the stop is %v", op.Status)
		}
	}, "memory", "sqlite", "postgres")
}

// A worker that stopped while it learned of an event by the refusal of a time-out recorded the time-out all
// the same, with its release.
// Row 31 of docs/proof/bugs.md.
func TestEventThatArrivedInTimeWinsOverTheTimeoutOfARunThatStops(t *testing.T) {
	const why = "there the claim at the time-out tells of the event"
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.WaitForEvent[string](o, "E", lambdabiz.Timeout(time.Minute))
		})
		inner := b.backend
		deaf := make(chan struct{}) // closed: claims tell of nothing any more
		timesOut, goOn := make(chan struct{}), make(chan struct{})
		b.backend = &proxy{
			Backend: inner,
			claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
				select {
				case <-deaf:
					<-ctx.Done()
					return lambdabiz.Claims{}, context.Cause(ctx)
				default:
					return inner.Claim(ctx, r)
				}
			},
			commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
				late := slices.ContainsFunc(batch, func(c *lambdabiz.Commit) bool {
					return len(c.Operations) > 0 && c.Operations[0].Status == lambdabiz.StatusTimeout
				})
				select {
				case <-goOn:
				default:
					if late {
						close(timesOut)
						<-goOn
					}
				}
				return inner.Commit(ctx, batch)
			},
		}
		e, stop := b.worker(d)
		b.backend = inner
		start(b, e, d, "x", 0)
		time.Sleep(time.Second)
		close(deaf)
		time.Sleep(50 * time.Second)
		client := b.engine(lambdabiz.Config{})
		raise(b, client, "x", "E", "in time")
		<-timesOut
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		synctest.Wait() // the run stops
		close(goOn)
		<-stopped
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != "in time" {
			t.Errorf("the wait gave %q", got)
		}
	}, notOnSWF(why), exception{"memory, a commit ends the claim", why}, exception{"memory, and performs timers", why},
		keepsClaims(countsTime))
}
