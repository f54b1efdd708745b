package homes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// skewed is a store as a client sees it whose clock is ahead, or behind if that is negative. What runs and workers
// write is not touched.
type skewed struct {
	lambdabiz.Backend
	ahead  time.Duration
	broken bool // what runs and workers write is of that clock too
}

func (s *skewed) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	shifted := make([]*lambdabiz.Commit, len(batch))
	for i, given := range batch {
		c := *given
		if c.Run == nil {
			c.At = c.At.Add(s.ahead)
			c.Starts = append([]lambdabiz.RunStart(nil), c.Starts...)
			for j := range c.Starts {
				if d := &c.Starts[j].Deadline; !d.IsZero() {
					*d = d.Add(s.ahead)
				}
			}
			c.Raises = append([]lambdabiz.Raise(nil), c.Raises...)
			for j := range c.Raises {
				if u := &c.Raises[j].Until; !u.IsZero() {
					*u = u.Add(s.ahead)
				}
			}
		}
		if c.Run != nil && s.broken {
			c.Operations = append([]lambdabiz.Operation(nil), c.Operations...)
			for j := range c.Operations {
				if d := &c.Operations[j].DueAt; !d.IsZero() {
					*d = d.Add(s.ahead)
				}
			}
			if r := c.Release; r != nil && !r.WakeAt.IsZero() {
				c.Release = &lambdabiz.Release{WakeAt: r.WakeAt.Add(s.ahead), Blocked: r.Blocked}
			}
		}
		shifted[i] = &c
	}
	return s.Backend.Commit(ctx, shifted)
}

// clockVariable says how far the clocks of clients are ahead in a run of the tests of every home, on the stores in memory.
const clockVariable = "LAMBDABIZ_CLIENT_CLOCK"

// clients are those whose clock differs from that of the workers.
var clients = readClock()

func readClock() (c struct {
	ahead time.Duration
	err   error
},
) {
	if text, set := os.LookupEnv(clockVariable); set {
		c.ahead, c.err = time.ParseDuration(text)
		homes = homes[:2]
	}
	return c
}

// oneClockOnly is the home of an exception of clients whose clock differs.
const oneClockOnly = "clients whose clock differs"

// oneClock is an exception: the test holds where clients and workers have one clock.
func oneClock(why string) exception { return exception{oneClockOnly, why} }

// Why tests cannot hold with clients of another clock.
const (
	onlySender      = "nobody but the sender saw when its event came: no worker had the run then"
	comparesClocks  = "it compares times that clients have written with times of its own"
	deadlineOfStart = "the deadline of a start is counted by the clock of who starts it"
	setsClocks      = "it sets the clocks itself"
)

// setClients gives the bench's clients their clock.
func (b *bench) setClients() {
	b.t.Helper()
	if clients.err != nil {
		b.t.Fatal(clients.err)
	}
	if clients.ahead == 0 {
		return
	}
	waker, _ := b.backend.(lambdabiz.Waker) // the stores in memory are
	b.backend = &struct {
		*skewed
		lambdabiz.Waker
	}{&skewed{b.backend, clients.ahead, os.Getenv(sabotageVariable) != ""}, waker}
	b.skew = clients.ahead.Abs()
}

// F50: the tests of every home hold with clients whose clock is an hour ahead of the workers', and an hour behind.
func TestSuiteWithClocksOfClientsThatDiffer(t *testing.T) {
	t.Parallel()
	if clients.ahead != 0 || storm.percent > 0 {
		t.Skip("this is such a run")
	}
	names := suite(t)
	for _, ahead := range []string{"1h", "-1h"} {
		t.Run(ahead, func(t *testing.T) {
			if complaint := suiteAhead(t, names, ahead, ""); complaint != "" {
				t.Errorf("to repeat a test of it: %s=%s go test -run '^Test...$' ./test/homes\n%s", clockVariable, ahead, complaint)
			}
			campaign.Report(t, "F50", []campaign.Count{{What: "tests", N: len(names)}})
		})
	}
}

// A store that takes the times of workers for times of their clients is found out by the same tests.
func TestSabotageClocks(t *testing.T) {
	t.Parallel()
	if clients.ahead != 0 || storm.percent > 0 {
		t.Skip("this is a run with other clocks")
	}
	seed, names := campaign.Seed(t), suite(t)
	campaign.Red(t, "F50", "times that stay as they were written", campaign.UntilRed(func(round int) string {
		random := campaign.Random(seed, round)
		some := make([]string, 20)
		for i := range some {
			some[i] = names[random.IntN(len(names))]
		}
		return firstError(suiteAhead(t, some, "1h", "times of workers"))
	}))
}

// suiteAhead runs tests in a process of their own, and returns what they complain of.
func suiteAhead(t *testing.T, names []string, ahead, sabotage string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^("+strings.Join(names, "|")+")$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), clockVariable+"="+ahead, sabotageVariable+"="+sabotage)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, text)
	}
	return ""
}

// clientWith makes a client whose clock is ahead.
func (b *bench) clientWith(ahead time.Duration, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	own := b.backend
	defer func() { b.backend = own }()
	b.backend, b.skew = &skewed{Backend: own, ahead: ahead}, max(b.skew, ahead.Abs())
	return b.engine(lambdabiz.Config{}, items...)
}

// waitFor10 waits for an event for ten minutes.
var waitFor10 = lambdabiz.Define("WaitFor10", func(o lambdabiz.Context, _ int) (string, error) {
	got, err := lambdabiz.WaitForEvent[string](o, "e", lambdabiz.Timeout(10*time.Minute))
	if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
		return "too late", nil
	}
	return got, err
})

func TestAnEventOfAClockThatIsAheadIsInTime(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, ahead := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour} {
			id := ahead.String()
			e, stop := b.worker(waitFor10)
			client := b.clientWith(ahead, waitFor10)
			start(b, client, waitFor10, id, 0)
			time.Sleep(time.Second)
			raise(b, client, id, "e", "in time")
			began := time.Now()
			if got := result(b, lambdabiz.Get(e, waitFor10, id)); got != "in time" {
				t.Errorf("%v: it gave %q", ahead, got)
			}
			if took := seconds(began); took > 10 {
				t.Errorf("%v: it took %d s", ahead, took)
			}
			// One that really comes too late is too late, whatever it is stamped with.
			run := start(b, client, waitFor10, id+" late", 0)
			time.Sleep(11 * time.Minute)
			_ = client.RaiseEvent(b.ctx, id+" late", "e", "too late") // it may have ended
			if got := result(b, run); got != "too late" {
				t.Errorf("%v: late, it gave %q", ahead, got)
			}
			stop()
		}
	}, notOnSWF("events have the time of the home"), oneClock(setsClocks), bears(20, countsTime))
}

func TestARaceGoesByTheWorkersClock(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, eventFirst := range []bool{true, false} {
			d := eventOrTimer(eventFirst)
			_, stop := b.worker(d)
			client := b.clientWith(time.Hour, d)
			id := "event first"
			if !eventFirst {
				id = "timer first"
			}
			start(b, client, d, id, 0)
			time.Sleep(30 * time.Second)
			raise(b, client, id, "Approve", "approved")
			if got := result(b, lambdabiz.Get(client, d, id)); got != "approved" {
				t.Errorf("%s: it gave %q", id, got)
			}
			stop()
		}
	}, oneClock(setsClocks))
}

// stubborn ignores what ends it.
func stubborn(rounds *atomic.Int64, pass func(o lambdabiz.Context)) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Stubborn", func(o lambdabiz.Context, n int) (int, error) {
		rounds.Add(1)
		pass(o)
		return 0, lambdabiz.ContinueAsNew(o, n+1)
	})
}

func TestAChainThatIgnoresItsEndIsSlow(t *testing.T) {
	for name, pass := range map[string]func(o lambdabiz.Context){
		"sleep": func(o lambdabiz.Context) { _ = lambdabiz.Sleep(o, "s", time.Hour) },
		"event": func(o lambdabiz.Context) { _, _ = never(o) },
		"clean up": func(o lambdabiz.Context) {
			_ = lambdabiz.Sleep(o, "s", time.Hour)
			_ = lambdabiz.Do(lambdabiz.Detached(o), "d", func(context.Context) error { return nil })
		},
		"branch": func(o lambdabiz.Context) { _, _ = lambdabiz.Go(o, "b", never).Wait(o) },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var rounds atomic.Int64
				d := stubborn(&rounds, pass)
				e, _ := b.worker(d)
				start(b, e, d, "cancelled", 0)
				b.settle()
				if err := e.Cancel(b.ctx, "cancelled", ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if n := rounds.Load(); n > 65 {
					t.Errorf("%d rounds in a minute after the cancellation", n)
				}
				_ = e.Terminate(b.ctx, "cancelled", "enough")
				rounds.Store(0)
				start(b, e, d, "overdue", 0, lambdabiz.Deadline(time.Second))
				time.Sleep(time.Minute)
				if n := rounds.Load(); n > 65 {
					t.Errorf("%d rounds in a minute after the deadline", n)
				}
				_ = e.Terminate(b.ctx, "overdue", "enough")
			}, bears(0, countsBodies), notOnSWF("a decision is held for the second"))
		})
	}
}

func TestAChainThatDoesNothingIsSlow(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var rounds atomic.Int64
		d := stubborn(&rounds, func(lambdabiz.Context) {})
		e, stop := b.worker(d)
		start(b, e, d, "x", 0)
		time.Sleep(time.Minute)
		if n := rounds.Load(); n < 30 || n > 65 {
			t.Errorf("%d rounds in a minute", n)
		}
		began := time.Now()
		stop() // a worker that drains does not wait for it
		if took := seconds(began); took > 1 {
			t.Errorf("it stopped after %d s", took)
		}
	}, bears(0, countsBodies))
}

func TestAChainThatWorksIsNotSlowedDown(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Works", func(o lambdabiz.Context, n int) (int, error) {
			if n == 100 {
				return n, nil
			}
			if err := lambdabiz.Do(o, "step", func(context.Context) error { return nil }); err != nil {
				return 0, err
			}
			return 0, lambdabiz.ContinueAsNew(o, n+1)
		})
		e, _ := b.worker(d)
		began := time.Now()
		result(b, start(b, e, d, "x", 0))
		if took := seconds(began); took > 10 {
			t.Errorf("100 runs took %d s", took)
		}
	}, bears(0, countsTime))
}
