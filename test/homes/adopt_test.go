package homes_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Where a commit ends the claim, a message that came under the next claim was taken in before that claim's own,
// older ones, while the verdict on the commit was on its way: the older ones counted as seen, and nothing ever
// woke their wait.
// Row 43 of docs/proof/bugs.md.
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
// Row 44 of docs/proof/bugs.md.
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

// Where commits end claims, a start of unknown outcome was repeated while the worker had claimed the run: it was
// taken for the start's own claim, and two copies of the run wrote under one fence.
// Row 62 of docs/proof/bugs.md.
func TestAStartThatComesTwiceAfterAClaimMakesNoSecondCopy(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{
			Backend: inner,
			claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
				c, err := inner.Claim(ctx, r)
				if err == nil && len(c.Runs) > 0 {
					time.Sleep(2 * time.Second) // its answer is slower than the second start
				}
				return c, err
			},
			commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
				v, err := inner.Commit(ctx, batch)
				if err == nil && len(batch[0].Starts) > 0 && lose {
					lose = false
					time.Sleep(1500 * time.Millisecond) // the worker claims meanwhile
					return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
				}
				return v, err
			},
		}
		d := define(func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "s", time.Minute) })
		e, _ := b.worker(d)
		b.well() // the first answer is lost already
		run := start(b, e, d, "x", 0)
		b.ill()
		time.Sleep(30 * time.Second)
		if s := b.state(e, "x"); s.Status != lambdabiz.StatusStarted || s.StartedAt.IsZero() {
			t.Errorf("it is %v, started at %v", s.Status, s.StartedAt)
		}
		if got := result(b, run); got != 1 {
			t.Errorf("result is %d", got)
		}
	}, notOnSWF("its starts have names of their own"))
}

// The verdict on a start comes after the worker was declared dead, began anew and claimed the run.
func TestStartVerdictAfterANewClaim(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		var once sync.Once
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if len(batch[0].Starts) > 0 {
				once.Do(func() {
					if err := removeDead(ctx, inner, batch[0].Worker); err != nil {
						t.Error(err)
					}
					time.Sleep(20 * time.Second)
				})
			}
			return v, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if err := lambdabiz.Sleep(o, "s", time.Minute); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "x", one)
		})
		b.backend = &lanes{b.backend}
		e, _ := b.worker(d)
		run := start(b, e, d, "a", 1)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if _, err := run.Result(ctx); err != nil {
			t.Errorf("%v; %+v", err, b.state(e, "a"))
		}
	}, "memory", "sqlite", "postgres")
}

// Messages that the claim loop hands on late, after the run has consumed them and has parked, are kept for
// the run's next stay.
func TestALateArrivalIsNotDeliveredTwice(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if len(c.Arrived) > 0 {
				time.Sleep(5 * time.Second)
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "one", lambdabiz.Named("e")); err != nil {
				return 0, err
			}
			if err := lambdabiz.Sleep(o, "s", 30*time.Second); err != nil {
				return 0, err
			}
			return lambdabiz.WaitForEvent[int](o, "two", lambdabiz.Named("e"))
		})
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Second}, d)
		run := start(b, e, d, "a", 1)
		time.Sleep(500 * time.Millisecond)
		if err := e.RaiseEvent(b.ctx, "a", "e", 1); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() { _ = e.RaiseEvent(b.ctx, "a", "e", 2) })
		ctx, cancel := within(b, 2*time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 2 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}, "memory", "sqlite", "postgres")
}

// A copy whose run another worker has taken over leaves the memory. One that waited for a claim stayed for ever.
// Row 19 of docs/proof/bugs.md.
func TestCopiesThatAnotherWorkerHasTakenOver(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			for i := range 10 {
				if _, err := lambdabiz.Step(o, fmt.Sprint("s", i), func(context.Context) (int, error) {
					time.Sleep(10 * time.Millisecond)
					return 1, nil
				}); err != nil {
					return 0, err
				}
			}
			return 1, nil
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 4}, d)
		b.workerWith(lambdabiz.Config{MaxResident: 4}, d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		var runs []*lambdabiz.Run[int]
		for i := range 40 {
			runs = append(runs, start(b, e, d, fmt.Sprint("r", i), 1))
		}
		for i, run := range runs {
			if _, err := run.Result(ctx); err != nil {
				t.Errorf("%d: %v %+v", i, err, b.state(e, fmt.Sprint("r", i)))
				return
			}
		}
	}, "memory, a commit ends the claim")
}

// The answer to a claim comes twice, and both copies were made: the one that nobody knew of stayed in memory for
// ever, with its goroutines.
// Row 47 of docs/proof/bugs.md.
func TestAClaimThatIsAnsweredTwiceHasOneCopy(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			for range len(c.Runs) {
				c.Runs = append(c.Runs, c.Runs[0], c.Runs[0], c.Runs[0])
				c.Runs = c.Runs[1:]
			}
			return c, err
		}}
		d := lambdabiz.Define("Twice", func(o lambdabiz.Context, n int) (int, error) {
			if err := lambdabiz.Sleep(o, "hour", time.Hour); err != nil {
				return 0, err
			}
			return lambdabiz.Step(o, "count", func(context.Context) (int, error) { return n, nil })
		})
		client := b.engine(lambdabiz.Config{}, d)
		const orders = 50
		for i := range orders {
			start(b, client, d, fmt.Sprint("r", i), i)
		}
		_, stop := b.worker(d)
		time.Sleep(time.Minute)
		stop() // in between: whoever is not among the residents is not stopped
		e, _ := b.worker(d)
		for i := range orders {
			if got := result(b, lambdabiz.Get(e, d, fmt.Sprint("r", i))); got != i {
				t.Errorf("r%d ended with %d", i, got)
			}
		}
	}, "memory, a commit ends the claim")
}

// An event that arrives between the commit of a start, which claims the run, and its adoption is not lost.
func TestEventBeforeTheAdoption(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner := b.backend
		other := b.engine(lambdabiz.Config{})
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if len(batch[0].Starts) > 0 {
				time.Sleep(2 * time.Second) // the goroutine that started has to wait for a processor
			}
			return v, err
		}}
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return lambdabiz.WaitForEvent[int](o, "e") })
		e, _ := b.workerWith(lambdabiz.Config{ParkAfter: time.Hour, PollInterval: 100 * time.Millisecond}, d)
		time.AfterFunc(time.Second, func() {
			if err := other.RaiseEvent(b.ctx, "x", "e", 7); err != nil {
				t.Error(err)
			}
		})
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, 10*time.Minute)
		defer cancel()
		if v, err := run.Result(ctx); v != 7 || err != nil {
			t.Error(v, err, len(b.state(e, "x").Events))
		}
	}, "memory", "sqlite", "postgres")
}

// Where commits end claims, messages that came during the next claim reached the run before that claim's
// answer, which had older ones: those were taken for known, and their events came out of order.
// Row 32 of docs/proof/bugs.md.
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

// A claim or a start that was made, and whose answer got lost, is found again. Nobody ran such a run.
// Row 7 of docs/proof/bugs.md.
func TestClaimWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			c, err := inner.Claim(ctx, r)
			if err == nil && len(c.Runs) > 0 && lose {
				lose = false
				return lambdabiz.Claims{}, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return c, err
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		client := b.engine(lambdabiz.Config{})
		run := start(b, client, d, "x", 0)
		b.worker(d)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(client, "x").Worker)
		}
	}, "memory", "sqlite", "postgres")
}

func TestStartWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && len(batch[0].Starts) > 0 && lose {
				lose = false
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		d := lambdabiz.Define("D", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		e, _ := b.worker(d)
		run := start(b, e, d, "x", 0)
		if !run.Created() || lambdabiz.Get(e, d, "x").Created() {
			t.Error("the start that made the run says that it found it, or a handle that it made it")
		}
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; held by worker %d", v, err, b.state(e, "x").Worker)
		}
	}, "memory", "sqlite", "postgres")
}

// The same for a child, started in a commit of its parent.
func TestChildStartWhoseAnswerIsLost(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		inner, lose := b.backend, true
		b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			v, err := inner.Commit(ctx, batch)
			if err == nil && len(batch[0].Starts) > 0 && batch[0].Run != nil && lose {
				lose = false
				return nil, fmt.Errorf("connection lost: %w", lambdabiz.ErrOutcomeUnknown)
			}
			return v, err
		}}
		c := lambdabiz.Define("C", func(_ lambdabiz.Context, _ int) (int, error) { return 1, nil })
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallChild(o, "c", c, 1)
		})
		e, _ := b.worker(d, c)
		run := start(b, e, d, "x", 0)
		ctx, cancel := within(b, time.Hour)
		defer cancel()
		if v, err := run.Result(ctx); v != 1 || err != nil {
			t.Errorf("result %v, %v; child held by worker %d", v, err, b.state(e, "x~-c").Worker)
		}
	}, "memory", "sqlite", "postgres")
}
