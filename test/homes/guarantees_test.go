package homes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// The guarantees of docs/guarantees.md, each by the shortest test that can break it.

func TestG1StartIsIdempotentByID(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { calls.Add(1); return n, nil })
		})
		e, _ := b.worker(d)
		first := start(b, e, d, "x", 1)
		for n := range 5 { // while it is open and when it has ended, by any process
			again := start(b, b.engine(lambdabiz.Config{}), d, "x", n+2)
			if got := result(b, again); again.RunID() != first.RunID() || got != 1 {
				t.Errorf("start %d is run %s with the result %d", n, again.RunID(), got)
			}
		}
		if calls.Load() != 1 {
			t.Errorf("the step ran %d times", calls.Load())
		}
	}, keepsClaims(countsBodies))
}

func TestG2RecordedResultNeverChangesAndItsOperationNeverRunsAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var calls atomic.Int64
		var seen notes
		d := define(func(o lambdabiz.Context) (int, error) {
			n, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { return int(calls.Add(1)), nil })
			_, failed := lambdabiz.Step(o, "fails", func(context.Context) (int, error) {
				return 0, fmt.Errorf("call %d", calls.Add(1))
			})
			seen.add(n, " ", failed)
			if err := errors.Join(err, lambdabiz.Sleep(o, "t", 30*time.Second)); err != nil {
				return 0, err
			}
			return n, nil
		})
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "x", 0)
		for range 3 {
			_, kill := b.killable(d)
			time.Sleep(5 * time.Second)
			kill()
		}
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 1 || calls.Load() != 2 {
			t.Errorf("result is %d after %d calls", got, calls.Load())
		}
		if got := strings.ReplaceAll(seen.String(), "1 fails, attempt 1: call 2", ""); strings.Trim(got, ", ") != "" || seen.len() < 2 {
			t.Errorf("the passes saw %v", &seen)
		}
	}, keepsClaims(countsBodies))
}

func TestG3BodyRunsAtLeastOnceWithOneKeyAndIsRecordedOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		keys := map[string]int{}
		var kill func()
		died := make(chan struct{})
		body := func(ctx context.Context) (int, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			mu.Lock()
			defer mu.Unlock()
			keys[info.IdempotencyKey]++
			n := keys[info.IdempotencyKey]
			if n == 1 { // its effect is done, and the process dies before the result is recorded
				close(died)
				<-ctx.Done()
			}
			return n, nil
		}
		d := define(func(o lambdabiz.Context) (int, error) { return lambdabiz.Step(o, "s", body) })
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "x", 0)
		_, kill = b.killable(d)
		<-died
		kill()
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 2 || len(keys) != 1 {
			t.Errorf("result is %d, keys are %v", got, keys)
		}
		s := b.state(e, "x")
		if len(s.Operations) != 1 || string(operation(t, s, "s").Result) != "2" || operation(t, s, "s").Attempts != 1 {
			t.Errorf("recorded are %+v", s.Operations)
		}
	})
}

func TestG4AcknowledgedEventsAreConsumedOnceAndInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		const n = 12
		client := b.engine(lambdabiz.Config{})
		if err := client.RaiseEvent(b.ctx, "x", "E", "lost"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("an event for nobody gave %v", err)
		}
		raise(b, client, "x", "E", "0", lambdabiz.BeforeStart(time.Hour), lambdabiz.Key("0"))
		start(b, client, collect, "x", n)
		want := "0"
		for i := 1; i < n; i++ {
			_, kill := b.killable(collect)
			for range 2 { // a sender that repeats itself
				raise(b, client, "x", "E", fmt.Sprint(i), lambdabiz.Key(fmt.Sprint(i)))
			}
			if i%2 == 0 {
				time.Sleep(2 * time.Second)
			}
			kill()
			want += fmt.Sprint(i)
		}
		e, _ := b.worker(collect)
		if got := strings.Join(result(b, lambdabiz.Get(e, collect, "x")), ""); got != want {
			t.Errorf("events came as %s", got)
		}
	})
}

func TestG5TimerFiresOnceAndNeverEarly(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var fired atomic.Int64
		began := time.Now()
		d := define(func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.Sleep(o, "t", 20*time.Second); err != nil {
				return 0, err
			}
			if early := 20*time.Second - time.Since(began); early > 0 {
				t.Errorf("it fired %v early", early)
			}
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return int(fired.Add(1)), nil })
		})
		e := b.engine(lambdabiz.Config{}, d)
		start(b, e, d, "x", 0)
		for _, life := range []time.Duration{3 * time.Second, 7 * time.Second, 9999 * time.Millisecond} {
			_, kill := b.killable(d)
			time.Sleep(life)
			kill()
		}
		e, _ = b.worker(d)
		if got := result(b, lambdabiz.Get(e, d, "x")); got != 1 || time.Since(began) > 30*time.Second {
			t.Errorf("it fired %d times, after %v", got, time.Since(began))
		}
		if o := operation(t, b.state(e, "x"), "t"); o.EndedAt.Before(o.DueAt) || o.DueAt.Before(began.Add(20*time.Second)) {
			t.Errorf("the timer is %+v", o)
		}
	}, keepsClaims(countsBodies))
}

func TestG6FrozenWorkerThatWasReplacedRecordsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		thaw := make(chan struct{})
		var calls atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
				if calls.Add(1) == 1 { // the worker is frozen in here
					<-thaw
					return 1, nil
				}
				return 2, nil
			})
		})
		// It neither renews nor claims while it is frozen, but its body will come to an end.
		var frozen atomic.Bool
		inner := b.backend
		b.backend = &leaver{
			Backend: &proxy{Backend: inner, claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
				if frozen.Load() {
					return lambdabiz.Claims{}, errDead
				}
				return inner.Claim(ctx, r)
			}},
			renew: func(ctx context.Context, worker int64) error {
				if frozen.Load() {
					return errDead
				}
				return inner.Renew(ctx, worker)
			},
		}
		first, _ := b.worker(d)
		b.backend = inner
		start(b, first, d, "x", 0)
		time.Sleep(time.Second)
		frozen.Store(true)
		b.settle() // a beat that was on its way has come
		workers, err := inner.Workers(b.ctx)
		if err != nil || len(workers) != 1 {
			t.Fatal(workers, err)
		}
		if err := removeDead(b.ctx, inner, workers[0].Number); err != nil { // as others do after the lease
			t.Fatal(err)
		}
		second, _ := b.worker(d)
		if got := result(b, lambdabiz.Get(second, d, "x")); got != 2 {
			t.Errorf("the second worker's result is %d", got)
		}
		before := records(b, "x")
		close(thaw)
		b.settle()
		frozen.Store(false)
		time.Sleep(10 * time.Second)
		if now := records(b, "x"); now != before || !strings.Contains(now, `"result":2`) {
			t.Errorf("the frozen worker has changed %s to %s", before, now)
		}
	}, notOnSWF("a step may take 50 s there"), calmOnly(breaksItself))
}

// What the disk itself does after an fsync is not tested here: that it is asked for is the backend's test.
func TestG7WhatIsAcknowledgedIsInTheFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		backend, err := sqlite.Open(filepath.Join(dir, "test.db"))
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, backend: backend, logs: &logbook.Book{}, ctx: t.Context()}
		defer func() {
			b.stop()
			if err := backend.Close(); err != nil {
				t.Error(err)
			}
		}()
		// load reads what a power cut at this moment would leave.
		copies := 0
		load := func() *lambdabiz.Record {
			copies++
			to := filepath.Join(t.TempDir(), fmt.Sprint(copies))
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			left, err := sqlite.Open(filepath.Join(to, "test.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := left.Close(); err != nil {
					t.Error(err)
				}
			}()
			rec, err := left.Load(b.ctx, "x", "")
			if err != nil {
				t.Fatal(err)
			}
			return rec
		}
		e := b.engine(lambdabiz.Config{})
		start(b, e, collect, "x", 1)
		if rec := load(); rec.Name != "Collect" {
			t.Errorf("after the start: %+v", rec)
		}
		raise(b, e, "x", "E", "v")
		if rec := load(); len(rec.Messages) != 1 || string(rec.Messages[0].Payload) != `"v"` {
			t.Errorf("after the event: %+v", rec)
		}
		w, _ := b.worker(collect)
		result(b, lambdabiz.Get(w, collect, "x"))
		if rec := load(); rec.Status != lambdabiz.StatusSucceeded || len(rec.Operations) != 1 {
			t.Errorf("after the result: %+v", rec)
		}
	})
}

func TestG8MessagesBetweenOrchestrationsCommitWithTheWritersProgress(t *testing.T) {
	for name, applied := range map[string]bool{"died before the commit": false, "died after the commit": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var children atomic.Int64
				child := lambdabiz.Define("Child", func(o lambdabiz.Context, _ int) (int, error) {
					return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return int(children.Add(1)), nil })
				})
				d := define(func(o lambdabiz.Context) (int, error) {
					if err := lambdabiz.RaiseEvent(o, "raise", "c", "E", "once"); err != nil {
						return 0, err
					}
					return lambdabiz.CallChild(o, "child", child, 0)
				})
				client := b.engine(lambdabiz.Config{})
				start(b, client, collect, "c", 2)
				// Each kind of message costs the process that writes it its life, once.
				inner := b.backend
				var dead atomic.Bool
				var deaths int
				seen := map[string]bool{}
				died := make(chan struct{}, 3)
				commit := func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
					for _, c := range batch {
						kind := ""
						switch {
						case c.Run == nil || dead.Load():
						case len(c.Raises) > 0:
							kind = "raise"
						case len(c.Starts) > 0:
							kind = "start"
						case c.Close != nil && c.Run.ID == "x~-child":
							kind = "result"
						}
						if kind == "" || seen[kind] {
							continue
						}
						seen[kind] = true
						deaths++
						dead.Store(true)
						if applied {
							if _, err := inner.Commit(ctx, batch); err != nil {
								t.Error(err)
							}
						}
						died <- struct{}{}
						return nil, errDead
					}
					if dead.Load() {
						return nil, errDead
					}
					return inner.Commit(ctx, batch)
				}
				b.backend = &proxy{Backend: inner, commit: commit}
				start(b, client, d, "x", 0)
				for range 3 {
					_, kill := b.killable(d, child)
					<-died
					kill()
					dead.Store(false)
					rec, err := inner.Load(b.ctx, "c", "")
					if err != nil {
						t.Fatal(err)
					}
					x := b.state(client, "x")
					if recorded := len(x.Operations) > 0; recorded != (len(rec.Messages) > 0) {
						t.Errorf("the raise is recorded: %v, its event has come: %d", recorded, len(rec.Messages))
					}
					_, err = inner.Load(b.ctx, "x~-child", "")
					if recorded := len(x.Operations) > 1; recorded != (err == nil) {
						t.Errorf("the start of the child is recorded: %v, the child: %v", recorded, err)
					}
				}
				b.backend = inner
				e, _ := b.worker(d, child, collect)
				result(b, lambdabiz.Get(e, d, "x"))
				raise(b, e, "c", "E", "end")
				if got := result(b, lambdabiz.Get(e, collect, "c")); fmt.Sprint(got) != "[once end]" || deaths != 3 {
					t.Errorf("the other got %v, after %d deaths", got, deaths)
				}
				if got := children.Load(); got > 2 || got < 1 {
					t.Errorf("the child's step ran %d times", got)
				}
			}, notOnSWF("messages go there at least once, with a key, not in one commit"), calmOnly(breaksItself))
		})
	}
}
