package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// sabotagedHome is a home that performs attempts, with one protection switched off.
type sabotagedHome struct {
	sabotaged
	queue   lambdabiz.Queue
	next    func(r *lambdabiz.TaskRequest)
	details func(p lambdabiz.Payload) lambdabiz.Payload
	outcome func(o *lambdabiz.TaskOutcome)
	forgets func(err error) error // what EndTask and BeatTask say instead
}

func (s *sabotagedHome) NextTask(ctx context.Context, r lambdabiz.TaskRequest) (*lambdabiz.TaskClaim, error) {
	if s.next != nil {
		s.next(&r)
	}
	return s.queue.NextTask(ctx, r)
}

func (s *sabotagedHome) BeatTask(ctx context.Context, t *lambdabiz.TaskClaim, details lambdabiz.Payload) error {
	if s.details != nil {
		details = s.details(details)
	}
	return s.said(s.queue.BeatTask(ctx, t, details))
}

func (s *sabotagedHome) EndTask(ctx context.Context, t *lambdabiz.TaskClaim, o lambdabiz.TaskOutcome) error {
	if s.outcome != nil {
		s.outcome(&o)
	}
	return s.said(s.queue.EndTask(ctx, t, o))
}

func (s *sabotagedHome) said(err error) error {
	if s.forgets != nil {
		return s.forgets(err)
	}
	return err
}

// onHome is Amazon SWF, as its stand-in is, with a sabotage.
func onHome(sabotage func(s *sabotagedHome)) backendtest.Config {
	return backendtest.Config{
		Precision: 10 * time.Millisecond, Late: 2 * time.Second,
		Open: func(t *testing.T) lambdabiz.Backend {
			t.Helper()
			server := fakeswf.New(fakeswf.Config{PollWait: time.Millisecond, Lambda: backendtest.HomeTask})
			t.Cleanup(server.Close)
			b, err := swf.Open(t.Context(), swf.Config{
				AWS: aws.Config{
					Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
					HTTPClient: &http.Client{Transport: server.Transport()},
				},
				LambdaRole: "arn:aws:iam::123456789012:role/invoker", DecisionTimeout: time.Hour,
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			s := &sabotagedHome{sabotaged: sabotaged{Backend: b}, queue: b}
			sabotage(s)
			return s
		},
		SetTime: func(t *testing.T, _ lambdabiz.Backend, now time.Time) {
			t.Helper()
			<-time.After(time.Until(now))
		},
	}
}

// dropOperations leaves operations out of commits.
func dropOperations(drop func(o lambdabiz.Operation) bool) func(s *sabotagedHome) {
	return func(s *sabotagedHome) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) { c.Operations = slices.DeleteFunc(c.Operations, drop) }
	}
}

// claimedOperations changes the operations of claims.
func claimedOperations(change func(o *lambdabiz.Operation)) func(s *sabotagedHome) {
	return func(s *sabotagedHome) {
		s.claims = func(c *lambdabiz.Claims) {
			for i := range c.Runs {
				for j := range c.Runs[i].Operations {
					change(&c.Runs[i].Operations[j])
				}
			}
		}
	}
}

var homeSabotages = []struct {
	name  string
	check string
	make  func(s *sabotagedHome)
}{
	{"a kept claim records nothing", "commit/a claim may be kept", func(s *sabotagedHome) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			if c.Keep {
				c.Operations = nil
			}
		}
	}},
	{"a time-out wins", "commit/a time-out loses against an event that came in time", func(s *sabotagedHome) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Operations {
				if o := &c.Operations[i]; o.Status == lambdabiz.StatusTimeout {
					o.DueAt = time.Unix(0, 0)
				}
			}
		}
	}},
	{
		"a close that was refused is acknowledged", "commit/a close that has not seen a message applies nothing",
		func(s *sabotagedHome) {
			s.verdict = func(v *lambdabiz.Verdict) {
				if errors.Is(v.Err, lambdabiz.ErrStale) {
					v.Err = nil
				}
			}
		},
	},
	{"an older caller takes over again", "hand/an older caller that sleeps is fenced", func(s *sabotagedHome) {
		s.request = func(r *lambdabiz.ClaimRequest) { r.Follows = nil }
	}},
	{"an older caller is told nothing", "hand/an older caller that sleeps is fenced", func(s *sabotagedHome) {
		s.refusal = func(err error) error {
			if errors.Is(err, lambdabiz.ErrFenced) {
				return nil
			}
			return err
		}
	}},
	{"crashes are not counted", "crash/holders that die are counted", func(s *sabotagedHome) {
		s.claims = func(c *lambdabiz.Claims) {
			for i := range c.Runs {
				c.Runs[i].Crashes = 0
			}
		}
	}},
	{"a timer fires early", "perform/a timer comes back ended, and never early", func(s *sabotagedHome) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) {
			for i := range c.Operations {
				c.Operations[i].DueAt = c.Operations[i].DueAt.Add(-10 * time.Second)
			}
		}
	}},
	{
		"a timer goes on", "perform/a timer that ended otherwise wakes nobody",
		dropOperations(func(o lambdabiz.Operation) bool { return o.Status == lambdabiz.StatusCancelled }),
	},
	{
		"a refusal is lost", "perform/a raised event that is refused fails",
		claimedOperations(func(o *lambdabiz.Operation) {
			if o.Kind == lambdabiz.KindRaise {
				o.Status, o.Error = lambdabiz.StatusSucceeded, nil
			}
		}),
	},
	{"no attempt begins", "attempt/a worker's outcome comes back", func(s *sabotagedHome) {
		s.commit = func(_ *sabotaged, c *lambdabiz.Commit) { c.Attempts = nil }
	}},
	{
		"a failed attempt looks final", "attempt/one that failed comes back tried",
		claimedOperations(func(o *lambdabiz.Operation) { o.Tried = nil }),
	},
	{"an attempt counts that did not begin", "attempt/one that could not begin does not count", func(s *sabotagedHome) {
		s.outcome = func(o *lambdabiz.TaskOutcome) { o.Tried.NotBegun = false }
	}},
	{"details are lost", "attempt/a silent one is given up, its details stay", func(s *sabotagedHome) {
		s.details = func(lambdabiz.Payload) lambdabiz.Payload { return nil }
	}},
	{"a time-out is a failure", "attempt/one whose time is over comes back tried", func(s *sabotagedHome) {
		s.outcome = func(o *lambdabiz.TaskOutcome) { o.Status = lambdabiz.StatusFailed }
	}},
	{
		"an attempt is not stopped", "attempt/of an operation that ended otherwise is stopped",
		dropOperations(func(o lambdabiz.Operation) bool { return o.Status == lambdabiz.StatusCancelled }),
	},
	{"an attempt is never fenced", "attempt/of a run that has ended is nobody's", func(s *sabotagedHome) {
		s.forgets = func(error) error { return nil }
	}},
	{"tasks go to the workers of services", "attempt/tasks and services are apart", func(s *sabotagedHome) {
		s.next = func(r *lambdabiz.TaskRequest) { r.Kind = lambdabiz.KindTask }
	}},
	{
		"a result changes", "attempt/the home's own outcome comes back",
		claimedOperations(func(o *lambdabiz.Operation) { o.Result = nil }),
	},
	{
		"a late result is taken", "attempt/the home's own late result is dropped",
		dropOperations(func(o lambdabiz.Operation) bool { return o.Status == lambdabiz.StatusTimeout }),
	},
}

func TestSabotageOfAHome(t *testing.T) {
	t.Parallel()
	for _, s := range homeSabotages {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if failures := backendtest.FailingInBubble(t, onHome(func(*sabotagedHome) {}), s.check); len(failures) > 0 {
				t.Fatalf("check %q fails without sabotage: %v", s.check, failures)
			}
			failures := backendtest.FailingInBubble(t, onHome(s.make), s.check)
			campaign.Red(t, "suite", fmt.Sprintf("the rule against %q", s.name), strings.Join(failures, "; "))
		})
	}
}

// Where commits end claims and the home is a database, the rules of callers by hand are the same.
func TestSabotageOfCallersByHand(t *testing.T) {
	t.Parallel()
	for _, check := range []string{"hand/an older caller is fenced", "hand/an older caller that sleeps is fenced"} {
		for _, broken := range []bool{false, true} {
			open := func() lambdabiz.Backend {
				b, err := memory.NewWith(memory.Config{CommitEndsClaim: true})
				if err != nil {
					panic(err)
				}
				s := &sabotaged{Backend: b}
				if broken {
					s.request = func(r *lambdabiz.ClaimRequest) { r.Follows = nil }
				}
				return s
			}
			switch failing := backendtest.Failing(open, check); {
			case broken:
				campaign.Red(t, "suite", "the look at who claimed last", strings.Join(failing[check], "; "))
			case len(failing) > 0:
				t.Errorf("check %q fails without sabotage: %v", check, failing)
			}
		}
	}
}
