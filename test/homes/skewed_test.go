package homes_test

import (
	"context"
	"os"
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

// clock is how far one is ahead of another.
type clock struct {
	ahead time.Duration
	err   error // of the variable
}

func readClock() clock {
	var c clock
	if text, set := os.LookupEnv(clockVariable); set {
		c.ahead, c.err = time.ParseDuration(text)
		homes = homes[:2]
	}
	return c
}

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

// F50: the tests of every home hold with clients whose clock is an hour ahead of the workers', and an hour behind. The
// ordinary run takes one of the two, by its seed.
func TestSuiteWithClocksOfClientsThatDiffer(t *testing.T) {
	t.Parallel()
	if clients.ahead != 0 || storm.percent > 0 {
		t.Skip("this is such a run")
	}
	names, _ := suite(t)
	clocks := []string{"1h", "-1h"}
	if _, campaigning := os.LookupEnv(campaign.CyclesVariable); !campaigning {
		clocks = clocks[campaign.Random(campaign.Seed(t), 0).IntN(2):][:1]
	}
	for _, ahead := range clocks {
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
	seed := campaign.Seed(t)
	names, _ := suite(t)
	campaign.Red(t, "F50", "times that stay as they were written", campaign.UntilRed(func(round int) string {
		random := campaign.Random(seed, round)
		some := make([]string, 20)
		for i := range some {
			some[i] = names[random.IntN(len(names))]
		}
		return firstError(suiteAhead(t, some, "1h", "times of workers"))
	}))
}

// clientWith makes a client whose clock is ahead.
func (b *bench) clientWith(ahead time.Duration, items ...lambdabiz.Registrable) *lambdabiz.Engine {
	own := b.backend
	defer func() { b.backend = own }()
	b.backend, b.skew = &skewed{Backend: own, ahead: ahead}, max(b.skew, ahead.Abs())
	return b.engine(lambdabiz.Config{}, items...)
}
