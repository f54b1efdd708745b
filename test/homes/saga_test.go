package homes_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// journal is what the tasks of a saga have done, each once by its key.
type journal struct {
	mu    sync.Mutex
	keys  map[string]bool
	lines []string
}

func (j *journal) add(ctx context.Context, line string) {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.keys == nil {
		j.keys = map[string]bool{}
	}
	if !j.keys[info.IdempotencyKey] {
		j.keys[info.IdempotencyKey] = true
		j.lines = append(j.lines, line)
	}
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, " ")
}

var errSoldOut = errors.New("sold out")

// trip books parts and takes them back. The part "wait" waits for an event, "fail" fails, "end" ends the trip as cancelled,
// "next" continues as new. Parts that begin with "stuck" cannot be taken back.
func trip(j *journal) *lambdabiz.Definition[[]string, string] {
	return lambdabiz.Define("Trip", func(o lambdabiz.Context, parts []string) (string, error) {
		return lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) (string, error) {
			for i, part := range parts {
				switch part {
				case "wait":
					if _, err := lambdabiz.WaitForEvent[int](o, "wait"); err != nil {
						return "", err
					}
				case "fail":
					return "", errSoldOut
				case "end":
					return "", lambdabiz.EndCancelled("nobody wants it")
				case "next":
					return "", lambdabiz.ContinueAsNew(o, parts[i+1:])
				default:
					undo.Add("undo-"+part, func(o lambdabiz.Context) error {
						return lambdabiz.Do(o, "take-back", func(ctx context.Context) error {
							if strings.HasPrefix(part, "stuck") {
								return errors.New("cannot")
							}
							j.add(ctx, "-"+part)
							return nil
						})
					})
					if err := lambdabiz.Do(o, "book-"+part, func(ctx context.Context) error {
						j.add(ctx, "+"+part)
						return nil
					}); err != nil {
						return "", err
					}
				}
			}
			return "booked", nil
		})
	})
}

func TestASagaTakesBackWhatItHasDoneTheLatestFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var j journal
		d := trip(&j)
		e, _ := b.worker(d, lambdabiz.ErrorValue("sold out", errSoldOut))
		_, err := start(b, e, d, "t", []string{"flight", "hotel", "car", "fail"}).Result(b.ctx)
		if !errors.Is(err, errSoldOut) {
			t.Errorf("got %v", err)
		}
		if got := j.String(); got != "+flight +hotel +car -car -hotel -flight" {
			t.Errorf("it did %s", got)
		}
	})
}

func TestASagaThatSucceedsOrContinuesTakesNothingBack(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var j journal
		d := trip(&j)
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "t", []string{"flight", "next", "hotel"})); got != "booked" {
			t.Errorf("got %s", got)
		}
		if got := j.String(); got != "+flight +hotel" {
			t.Errorf("it did %s", got)
		}
	})
}

func TestACancelledSagaTakesBackAndIsCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var j journal
		d := trip(&j)
		e, stop := b.worker(d)
		run := start(b, e, d, "t", []string{"flight", "hotel", "wait", "car"})
		time.Sleep(time.Minute)
		stop() // it is resumed to be cancelled
		if err := b.engine(lambdabiz.Config{}).Cancel(b.ctx, "t", "no time"); err != nil {
			t.Fatal(err)
		}
		e, _ = b.worker(d)
		_, err := lambdabiz.Get(e, d, run.ID()).Result(b.ctx)
		if !errors.Is(err, lambdabiz.ErrCancelled) || b.state(e, "t").Status != lambdabiz.StatusCancelled {
			t.Errorf("got %v", err)
		}
		if got := j.String(); got != "+flight +hotel -hotel -flight" {
			t.Errorf("it did %s", got)
		}
	})
}

func TestASagaTriesEveryCompensationAndNamesThoseThatFailed(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var j journal
		d := trip(&j)
		e, _ := b.worker(d, lambdabiz.ErrorValue("sold out", errSoldOut))
		_, err := start(b, e, d, "t", []string{"flight", "stuck-hotel", "car", "fail"}).Result(b.ctx)
		var left *lambdabiz.CompensationError
		if !errors.Is(err, errSoldOut) || !errors.As(err, &left) || left.ID != "undo-stuck-hotel" {
			t.Errorf("got %v", err)
		}
		if got := j.String(); got != "+flight +stuck-hotel +car -car -flight" {
			t.Errorf("it did %s", got)
		}
	})
}

func TestAnOrchestrationCanEndItselfAsCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var j journal
		d := trip(&j)
		parent := lambdabiz.Define("Parent", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.CallChild(o, "trip", d, []string{"flight", "end"})
		})
		e, _ := b.worker(d, parent)
		_, err := start(b, e, parent, "p", 0).Result(b.ctx)
		var ended *lambdabiz.OrchestrationError
		if !errors.As(err, &ended) || ended.Status != lambdabiz.StatusFailed {
			t.Errorf("the parent, which nobody cancelled, ended with %v", err)
		}
		var child *lambdabiz.OrchestrationError
		if !errors.As(ended.Err, &child) || child.Status != lambdabiz.StatusCancelled {
			t.Fatalf("the parent saw %v", ended.Err)
		}
		_, err = lambdabiz.Get(e, d, child.ID).Result(b.ctx)
		if !errors.As(err, &ended) || ended.Status != lambdabiz.StatusCancelled || !errors.Is(err, lambdabiz.ErrCancelled) ||
			!strings.HasSuffix(err.Error(), "nobody wants it") {
			t.Errorf("the child ended with %v", err)
		}
		if got := j.String(); got != "+flight -flight" {
			t.Errorf("it did %s", got)
		}
	})
}

// A caller by hand whose context ends leaves the saga as it is: nothing has failed.
func TestASagaByHandIsNotTakenBackWhenItsCallerLeaves(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		var lines []string
		for _, wait := range []time.Duration{time.Minute, time.Hour} {
			ctx, cancel := context.WithTimeout(b.ctx, wait)
			o, err := e.Create(ctx, "h")
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(0); err != nil {
				t.Fatal(err)
			}
			_, err = lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) (int, error) {
				undo.Add("undo", func(o lambdabiz.Context) error {
					return lambdabiz.Do(o, "x", func(context.Context) error { lines = append(lines, "undone"); return nil })
				})
				return 0, lambdabiz.Sleep(o, "nap", 10*time.Minute)
			})
			lines = append(lines, time.Duration.String(wait))
			if (wait == time.Minute) != errors.Is(err, lambdabiz.ErrWaiting) {
				t.Errorf("after %v: %v", wait, err)
			}
			if err == nil {
				if err := o.Complete("done"); err != nil {
					t.Error(err)
				}
			}
			cancel()
			synctest.Wait()
		}
		if want := []string{"1m0s", "1h0m0s"}; !slices.Equal(lines, want) {
			t.Errorf("it did %v", lines)
		}
	}, keepsEnds())
}

func TestNowIsTheSameInEveryPass(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		var seen []time.Time
		d := lambdabiz.Define("Now", func(o lambdabiz.Context, _ int) (time.Time, error) {
			at, err := lambdabiz.Now(o, "began")
			if err != nil {
				return at, err
			}
			mu.Lock()
			seen = append(seen, at)
			mu.Unlock()
			return at, lambdabiz.Sleep(o, "nap", time.Hour)
		})
		e, stop := b.worker(d)
		b.well() // what a pass sees that is not recorded then, no other one can see
		began := time.Now()
		run := start(b, e, d, "n", 0)
		b.settle()
		time.Sleep(30 * time.Minute)
		stop()
		time.Sleep(time.Minute)
		e, _ = b.worker(d)
		at := result(b, lambdabiz.Get(e, d, run.ID()))
		mu.Lock()
		defer mu.Unlock()
		if len(seen) < 2 || at.Sub(began) > 10*time.Second {
			t.Errorf("%d passes, the result is %v after the start", len(seen), at.Sub(began))
		}
		for _, other := range seen {
			if !other.Equal(at) {
				t.Errorf("a pass saw %v, the result is %v", other, at)
			}
		}
	})
}
