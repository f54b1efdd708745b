package swf_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// commitOne makes one commit and expects it to be applied.
func commitOne(t *testing.T, b lambdabiz.Backend, c *lambdabiz.Commit) {
	t.Helper()
	c.At = time.Now()
	v, err := b.Commit(t.Context(), []*lambdabiz.Commit{c})
	if err != nil || v[0].Err != nil {
		t.Fatal(v, err)
	}
}

// leaveAsker lets an asker go away while its poll waits.
func leaveAsker(t *testing.T, ask func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the asker did not go away: %v", err)
	}
}

// claimOne claims a run, through polls that bring nothing.
func claimOne(t *testing.T, b lambdabiz.Backend, worker int64) lambdabiz.Claimed {
	t.Helper()
	for range 5 {
		claims, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{Worker: worker, Limit: 1, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if len(claims.Runs) == 1 {
			return claims.Runs[0]
		}
	}
	t.Fatal("no run is due")
	return lambdabiz.Claimed{}
}

func TestADecisionTaskThatWaitedForAnAskerHasLessTime(t *testing.T) {
	t.Parallel()
	for _, waited := range []time.Duration{30 * time.Second, 90 * time.Second} {
		t.Run(waited.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := openBackend(t, configFor(newServer(t, fakeswf.Config{})))
				worker, err := b.Join(t.Context(), lambdabiz.WorkerInfo{})
				if err != nil {
					t.Fatal(err)
				}
				leaveAsker(t, func(ctx context.Context) error {
					_, err := b.Claim(ctx, lambdabiz.ClaimRequest{Worker: worker, Limit: 1})
					return err
				})
				begun := time.Now()
				commitOne(t, b, &lambdabiz.Commit{Starts: []lambdabiz.RunStart{{ID: "a", RunID: "a1", Name: "x"}}})
				synctest.Wait()
				time.Sleep(waited)
				c := claimOne(t, b, worker)
				ends := begun.Add(time.Minute) // SWF's, of the decision task that the first poll got
				if waited > time.Minute {
					ends = ends.Add(waited) // it got another one
				}
				if c.Until.After(ends) || !c.Until.After(time.Now()) {
					t.Errorf("the claim says that it ends at %v, SWF ends it at %v; it is %v", c.Until, ends, time.Now())
				}
				commitOne(t, b, &lambdabiz.Commit{Run: &c.Ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A journal is on its way as a signal when SWF gives its writer up. The verdict says that nothing was applied, and
// nothing is, whether another worker has claimed the run by then or not.
func TestAJournalThatComesAfterTheTimeOutIsVoid(t *testing.T) {
	t.Parallel()
	for _, claimed := range []bool{false, true} {
		t.Run(fmt.Sprint(claimed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := openBackend(t, configFor(newServer(t, fakeswf.Config{Fault: func(c fakeswf.Call) fakeswf.Fault {
					if c.Action == "SignalWorkflowExecution" {
						return fakeswf.Fault{Delay: 2 * time.Minute}
					}
					return fakeswf.Fault{}
				}})))
				worker, err := b.Join(t.Context(), lambdabiz.WorkerInfo{})
				if err != nil {
					t.Fatal(err)
				}
				commitOne(t, b, &lambdabiz.Commit{Starts: []lambdabiz.RunStart{{ID: "a", RunID: "a1", Name: "x"}}})
				c := claimOne(t, b, worker)
				verdicts := make(chan error, 1)
				go func() {
					v, err := b.Commit(t.Context(), []*lambdabiz.Commit{{
						Run: &c.Ref, At: time.Now(), Again: true, Keep: true, Operations: []lambdabiz.Operation{{
							Number: 1, ID: "step", Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded,
						}},
					}})
					if err == nil {
						err = v[0].Err
					}
					verdicts <- err
				}()
				if claimed {
					time.Sleep(90 * time.Second)
					c = claimOne(t, b, worker)
				}
				if err := <-verdicts; !errors.Is(err, lambdabiz.ErrFenced) {
					t.Errorf("commit: %v, want ErrFenced", err)
				}
				rec, err := b.Load(t.Context(), "a", "")
				if err != nil {
					t.Fatal(err)
				}
				if len(rec.Operations) > 0 {
					t.Errorf("a commit that was fenced has written %+v", rec.Operations)
				}
				if !claimed {
					c = claimOne(t, b, worker)
				}
				if len(c.Operations) > 0 {
					t.Errorf("the next holder gets %+v", c.Operations)
				}
				commitOne(t, b, &lambdabiz.Commit{Run: &c.Ref, Release: &lambdabiz.Release{}})
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAnAttemptThatNobodyTookIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		b, other := openBackend(t, configFor(server)), openBackend(t, configFor(server))
		worker, err := other.Join(t.Context(), lambdabiz.WorkerInfo{})
		if err != nil {
			t.Fatal(err)
		}
		leaveAsker(t, func(ctx context.Context) error {
			_, err := b.NextTask(ctx, lambdabiz.TaskRequest{Kind: lambdabiz.KindTask})
			return err
		})
		commitOne(t, other, &lambdabiz.Commit{Starts: []lambdabiz.RunStart{{ID: "a", RunID: "a1", Name: "x"}}})
		c := claimOne(t, other, worker)
		o := lambdabiz.Operation{
			Number: 1, ID: "task", Kind: lambdabiz.KindTask, Name: "x", Attempts: 1, Status: lambdabiz.StatusScheduled,
		}
		commitOne(t, other, &lambdabiz.Commit{
			Run: &c.Ref, Operations: []lambdabiz.Operation{o}, Attempts: []lambdabiz.Attempt{{Operation: 1, Local: true}},
		})
		synctest.Wait()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		c = claimOne(t, other, worker)
		if got := c.Operations[0]; got.Tried == nil || !got.Tried.NotBegun {
			t.Errorf("the attempt came back as %+v", got)
		}
		commitOne(t, other, &lambdabiz.Commit{Run: &c.Ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
}
