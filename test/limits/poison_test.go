package limits_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

var errPlain = errors.New("plain")

// touchy is a value whose methods panic.
type touchy struct{ N int }

// MarshalJSON panics for 13.
func (t touchy) MarshalJSON() ([]byte, error) {
	if t.N == 13 {
		panic("marshalling 13")
	}
	return fmt.Appendf(nil, "%d", t.N), nil
}

// UnmarshalJSON panics for 7.
func (t *touchy) UnmarshalJSON(data []byte) error {
	if string(data) == "7" {
		panic("unmarshalling 7")
	}
	_, err := fmt.Sscan(string(data), &t.N)
	return err
}

// rude is an error whose method panics.
type rude struct{}

// Error panics.
func (rude) Error() string { panic("no words") }

// poison is an orchestration that goes wrong, and what must come of it.
type poison struct {
	input   any
	code    func(o lambdabiz.Context, in int) (int, error)
	reason  string           // why it is blocked; empty when it ends
	status  lambdabiz.Status // else how it ends
	failure string           // what the error then says
}

// brew is every poison; leak is closed when goroutines that were left behind may end.
func brew(leak <-chan struct{}) map[string]poison {
	step := func(body func() (touchy, error)) func(o lambdabiz.Context, _ int) (int, error) {
		return func(o lambdabiz.Context, _ int) (int, error) {
			v, err := lambdabiz.Step(o, "s", func(context.Context) (touchy, error) { return body() })
			return v.N, err
		}
	}
	failed := lambdabiz.StatusFailed
	return map[string]poison{
		"input": {input: "no number", code: echo, reason: "input"},
		"panic": {code: func(lambdabiz.Context, int) (int, error) { panic("out of order") }, reason: "out of order"},
		"goexit": {code: func(lambdabiz.Context, int) (int, error) {
			runtime.Goexit()
			return 0, nil
		}, reason: "ended its goroutine"},
		"nil":            {code: func(_ lambdabiz.Context, in int) (int, error) { return []int{}[in], nil }, reason: "out of range"},
		"panic of error": {code: func(lambdabiz.Context, int) (int, error) { panic(rude{}) }, reason: "panic"},
		"history": {code: func(o lambdabiz.Context, _ int) (int, error) {
			n, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { return 1, nil })
			if err != nil {
				return n, err
			}
			return n, lambdabiz.Sleep(o, "nap", 20*time.Second) // it parks, and is claimed again
		}, reason: "cannot be read"},
		"branch": {code: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Go(o, "b", func(lambdabiz.Context) (int, error) { panic("in a branch") }).Wait(o)
		}, reason: "in a branch"},
		"branch's goexit": {code: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Go(o, "b", func(lambdabiz.Context) (int, error) { runtime.Goexit(); return 0, nil }).Wait(o)
		}, reason: "ended its goroutine"},
		"event": {code: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.WaitForEvent[int](o, "E")
		}, reason: "cannot be read"},
		"task": {code: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { panic("in a body") })
		}, status: failed, failure: "in a body"},
		"task's goexit": {code: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
		}, reason: "ended its goroutine"},
		"registered task's goexit": {code: func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Call(o, "s", exiting, 1)
		}, reason: "ended its goroutine"},
		"marshal":   {code: step(func() (touchy, error) { return touchy{13}, nil }), status: failed, failure: "marshalling 13"},
		"unmarshal": {code: step(func() (touchy, error) { return touchy{7}, nil }), status: failed, failure: "unmarshalling 7"},
		"error":     {code: step(func() (touchy, error) { return touchy{}, rude{} }), status: failed, failure: ""},
		"wrapped": {
			code:   func(lambdabiz.Context, int) (int, error) { return 0, fmt.Errorf("%w, %w", errPlain, error(&rude{})) },
			status: failed, failure: "",
		},
		"leak": {code: func(o lambdabiz.Context, _ int) (int, error) {
			go func() { <-leak }()
			return lambdabiz.Go(o, "b", func(lambdabiz.Context) (int, error) {
				go func() { <-leak }()
				return 1, nil
			}).Wait(o)
		}, status: lambdabiz.StatusSucceeded},
	}
}

var exiting = lambdabiz.NewTask("Exiting", func(context.Context, int) (int, error) {
	runtime.Goexit()
	return 0, nil
})

func echo(_ lambdabiz.Context, in int) (int, error) { return in, nil }

// claimCounter counts how often each orchestration is claimed.
type claimCounter struct {
	lambdabiz.Backend
	mu     sync.Mutex
	claims map[string]int
}

// Claim counts.
func (c *claimCounter) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := c.Backend.Claim(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, run := range claims.Runs {
		c.claims[run.ID]++
	}
	return claims, err
}

// Wake tells of changes, as the backend does.
func (c *claimCounter) Wake() <-chan struct{} { return c.Backend.(lambdabiz.Waker).Wake() }

// live runs healthy orchestrations for some seconds, one each second, with poison among them or without. It
// returns how many came to their end, and what is wrong.
func live(
	t *testing.T, h home, seconds int, poisoned bool, wrap func(lambdabiz.Backend) lambdabiz.Backend,
) (done, blocked int, complaint string) {
	t.Helper()
	counter := &claimCounter{claims: map[string]int{}}
	corrupt := func(b lambdabiz.Backend) lambdabiz.Backend {
		counter.Backend = recordings{wrap(b), func(r *lambdabiz.Record) {
			for i := range r.Operations {
				if r.ID == "poison history" && r.Operations[i].Kind == lambdabiz.KindStep {
					r.Operations[i].Result = lambdabiz.Payload("{rotten")
				}
			}
		}}
		return counter
	}
	complaint = bubble(t, h, time.Hour, corrupt, func(b *bench) {
		leak := make(chan struct{})
		defer close(leak)
		healthy := lambdabiz.Define("Healthy", func(o lambdabiz.Context, n int) (int, error) {
			for i := range 2 {
				if err := lambdabiz.Do(o, fmt.Sprint("step-", i), func(context.Context) error { return nil }); err != nil {
					return 0, err
				}
				if err := lambdabiz.Sleep(o, fmt.Sprint("nap-", i), 2*time.Second); err != nil {
					return 0, err
				}
			}
			return n, nil
		})
		items := lambdabiz.Registrables{healthy}
		vials := brew(leak)
		for name, p := range vials {
			items = append(items, lambdabiz.Define("Poison "+name, p.code))
		}
		e, _ := b.worker(lambdabiz.Config{ParkAfter: 5 * time.Second}, items)
		if poisoned {
			client, err := lambdabiz.New(b.backend, lambdabiz.Config{}) // it does not know what the definitions can read
			b.check(err)
			for name, p := range vials {
				_, err := client.StartByName(b.ctx, "Poison "+name, "poison "+name, p.input)
				b.check(err)
			}
			_, err = client.StartByName(b.ctx, "Nobody knows", "poison name", 1)
			b.check(errors.Join(err, e.RaiseEvent(b.ctx, "poison event", "E", "no number")))
		}
		for n := range seconds {
			start(b, e, healthy, fmt.Sprint("healthy-", n), n)
			time.Sleep(time.Second)
		}
		page, err := e.List(b.ctx, lambdabiz.Filter{Name: "Healthy", Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}, Limit: 1000})
		b.check(err)
		done = len(page.Runs)
		if poisoned {
			blocked = b.judge(e, vials, counter, seconds)
		}
	})
	return done, blocked, complaint
}

// judge compares what has become of each poison, and returns how many are blocked.
func (b *bench) judge(e *lambdabiz.Engine, vials map[string]poison, counter *claimCounter, seconds int) (blocked int) {
	for name, p := range vials {
		s := b.state(e, "poison "+name)
		if p.reason == "" {
			if s.Status != p.status || s.Error != nil && !strings.Contains(fmt.Sprint(s.Error), p.failure) {
				b.complainf("%s: %v, blocked %+v, error %v", name, s.Status, s.Blocked, s.Error)
			}
			continue
		}
		if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, p.reason) {
			b.complainf("%s: %v, blocked %+v, error %v", name, s.Status, s.Blocked, s.Error)
			continue
		}
		blocked++
	}
	if s := b.state(e, "poison name"); s.Status != lambdabiz.StatusScheduled || s.Blocked == nil {
		b.complainf("an unknown name: %v, %+v", s.Status, s.Blocked)
	}
	counter.mu.Lock()
	defer counter.mu.Unlock()
	for id, n := range counter.claims {
		if strings.HasPrefix(id, "poison") && n > 15 {
			b.complainf("%s was claimed %d times in %d seconds", id, n, seconds)
		}
	}
	return blocked
}

func asIs(b lambdabiz.Backend) lambdabiz.Backend { return b }

// Poison of every kind is blocked or failed with its reason, costs a few claims, and leaves the others alone.
func TestPoison(t *testing.T) {
	seconds := campaign.Rounds(t, 100, 600)
	onHomes(t, func(t *testing.T, h home) {
		alone, _, complaint := live(t, h, seconds, false, asIs)
		if complaint != "" {
			t.Error(complaint)
		}
		beside, blocked, complaint := live(t, h, seconds, true, asIs)
		if complaint != "" {
			t.Error(complaint)
		}
		if beside*100 < alone*95 {
			t.Errorf("%d orchestrations ended beside poison, %d without", beside, alone)
		}
		campaign.Report(t, "F32", []campaign.Count{
			{What: "blocked", N: blocked}, {What: "others", N: beside}, {What: "others without poison", N: alone},
		})
	})
}

// eager lets blocked orchestrations be due again at once.
type eager struct{ lambdabiz.Backend }

// Commit takes the wait from blocked runs.
func (x eager) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	for _, c := range batch {
		if c.Release != nil && c.Release.Blocked != nil {
			c.Release.WakeAt = c.At.Add(time.Second)
		}
	}
	return x.Backend.Commit(ctx, batch)
}

// Wake tells of changes, as the backend does.
func (x eager) Wake() <-chan struct{} { return x.Backend.(lambdabiz.Waker).Wake() }

// Without their backoff, blocked orchestrations are claimed in a hot loop.
func TestSabotageBlockedWithoutBackoff(t *testing.T) {
	t.Parallel()
	_, _, complaint := live(t, homes[0], 30, true, func(b lambdabiz.Backend) lambdabiz.Backend { return eager{b} })
	campaign.Red(t, "F32", "the backoff of blocked orchestrations", complaint)
}

// An endless loop in orchestration code takes a core, and nothing else: the others come to their end while it
// spins, and it is still the engine's own when it stops.
func TestEndlessLoopInOrchestrationCode(t *testing.T) {
	t.Parallel()
	backend := homes[0].open(t)
	var spinning, over atomic.Bool
	entered := make(chan struct{})
	loop := lambdabiz.Define("Loop", func(lambdabiz.Context, int) (int, error) {
		if spinning.CompareAndSwap(false, true) {
			close(entered)
		}
		n := 0
		for !over.Load() {
			n++
			if n%1000 == 0 {
				runtime.Gosched() // one core may be all there is
			}
		}
		return 1, nil
	})
	other := lambdabiz.Define("Other", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return n, nil })
	})
	e := must(lambdabiz.New(backend, lambdabiz.Config{}))(t)
	if err := e.Register(loop, other); err != nil {
		t.Fatal(err)
	}
	done := 0
	err := e.RunWhile(t.Context(), func(ctx context.Context) error {
		defer over.Store(true)
		spins, err := lambdabiz.Start(ctx, e, loop, "loop", 1)
		if err != nil {
			return err
		}
		<-entered
		for n := range 100 {
			run, err := lambdabiz.Start(ctx, e, other, fmt.Sprint("other-", n), n)
			if err != nil {
				return err
			}
			if got, err := run.Result(ctx); err != nil || got != n {
				return fmt.Errorf("%s gave %d, %w", run.ID(), got, err)
			}
			done++
		}
		over.Store(true)
		_, err = spins.Result(ctx)
		return err
	})
	if err = errors.Join(err, backend.Close()); err != nil {
		t.Error(err)
	}
	campaign.Report(t, "F32", []campaign.Count{{What: "others beside an endless loop", N: done}})
}
