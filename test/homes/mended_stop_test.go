package homes_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A worker that stopped while it learned of an event by the refusal of a time-out recorded the time-out all
// the same, with its release.
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
		keepsClaims(countsTime), bears(20, breaksItself))
}

// Where commits end claims, messages that came during the next claim reached the run before that claim's
// answer, which had older ones: those were taken for known, and their events came out of order.
func TestArrivalIsQuickerThanTheAnswerOfItsClaim(t *testing.T) {
	const why = "there a claim goes on over commits"
	everywhere(t, func(t *testing.T, b *bench) {
		inner := b.backend
		applied, goOn := make(chan struct{}), make(chan struct{})
		b.backend = &proxy{Backend: inner, commit: func(
			ctx context.Context, batch []*lambdabiz.Commit,
		) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			select {
			case <-goOn:
			default:
				if batch[0].Run != nil {
					close(applied)
					<-goOn // the verdict is on its way
				}
			}
			return v, err
		}}
		e, _ := b.worker(collect)
		b.backend = inner
		client := b.engine(lambdabiz.Config{})
		start(b, client, collect, "x", 2)
		<-applied
		for _, event := range []string{"1", "2"} {
			raise(b, client, "x", "E", event)
			time.Sleep(5 * time.Second) // the worker claims for the first, and hears of the second
		}
		close(goOn)
		if got := strings.Join(result(b, lambdabiz.Get(e, collect, "x")), ""); got != "12" {
			t.Errorf("events came as %s", got)
		}
	}, notOnSWF("it hands out no arrivals"), exception{"memory", why}, exception{"sqlite", why})
}
