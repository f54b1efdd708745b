package swf_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// chaosSeeds is how many seeds TestChaos takes. More find more.
const chaosSeeds = 4

// maxFaults is how many faults a seed has at most: then all must end well.
const maxFaults = 60

// chaos makes calls of workers go wrong at random, until it has done so often enough.
type chaos struct {
	mu     sync.Mutex
	random *rand.Rand
	left   int
	done   map[string]int
}

func (c *chaos) fault(call fakeswf.Call) fakeswf.Fault {
	if !strings.Contains(call.Agent, "app/worker") || strings.HasPrefix(call.Action, "Register") {
		return fakeswf.Fault{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 || c.random.IntN(5) > 0 {
		return fakeswf.Fault{}
	}
	c.left--
	kinds := []struct {
		name  string
		fault fakeswf.Fault
	}{
		{"throttled", fakeswf.Fault{Throttle: true}},
		{"answer lost", fakeswf.Fault{Lose: true}},
		{"internal error", fakeswf.Fault{Status: http.StatusInternalServerError}},
		{"applied twice", fakeswf.Fault{Twice: true}},
		{"stale", fakeswf.Fault{Stale: 1 + c.random.IntN(5)}},
		{"slow", fakeswf.Fault{Delay: time.Duration(c.random.IntN(90)) * time.Second}},
		{"slow and lost", fakeswf.Fault{Delay: time.Duration(c.random.IntN(90)) * time.Second, Lose: true}},
	}
	kind := kinds[c.random.IntN(len(kinds))]
	c.done[kind.name]++
	return kind.fault
}

// number is random, for the test itself.
func (c *chaos) number(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// mortal is the network of a process that can die.
type mortal struct {
	next http.RoundTripper
	dead chan struct{}
}

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-m.dead:
		return nil, errCut
	default:
	}
	answer, err := m.next.RoundTrip(r)
	select {
	case <-m.dead:
		return nil, errCut
	default:
		return answer, err
	}
}

// fleet is the workers of a chaos test.
type fleet struct {
	t      *testing.T
	server *fakeswf.Server
	items  []lambdabiz.Registrable
}

// add begins a worker, and returns what kills it.
func (f *fleet) add() (kill func()) {
	wire := &mortal{next: f.server.Transport(), dead: make(chan struct{})}
	c := through(f.server, wire)
	c.AWS.AppID = "worker"
	client(f.t, c).workOn(f.items...)
	return func() { close(wire.dead) }
}

// TestChaos lets two workers drive a mix of orchestrations while their calls fail in all ways, and the workers die and
// are replaced. In the end all results are right, no function ran twice, and every history is sound.
func TestChaos(t *testing.T) {
	t.Parallel()
	for seed := range uint64(chaosSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { runChaos(t, seed) })
		})
	}
}

func runChaos(t *testing.T, seed uint64) {
	c := &chaos{random: rand.New(rand.NewPCG(seed, 0)), left: maxFaults, done: map[string]int{}}
	b := newBodies()
	server := newServer(t, fakeswf.Config{Lambda: b.lambdas, Fault: c.fault})
	p := newProgram(b)
	nested := lambdabiz.Define("Nested", func(o lambdabiz.Context, in numbers) (string, error) {
		return lambdabiz.CallChild(o, "child", p.definition, in)
	})
	f := &fleet{t: t, server: server, items: []lambdabiz.Registrable{p.definition, p.task, nested, carrier}}
	kills := []func(){f.add(), f.add()}
	user := client(t, configFor(server))
	policy := lambdabiz.OnUsedID(lambdabiz.RejectOpen)
	const each = 3
	var programs, parents, carriers [each]*lambdabiz.Run[string]
	for i := range each {
		var err error
		start := func(run **lambdabiz.Run[string], d *lambdabiz.Definition[numbers, string], id string) {
			if *run, err = lambdabiz.Start(t.Context(), user.Engine, d, id, numbers{15, 5}, policy); err != nil {
				t.Fatal(err)
			}
		}
		start(&programs[i], p.definition, fmt.Sprint("P", i))
		start(&parents[i], nested, fmt.Sprint("N", i))
		if carriers[i], err = lambdabiz.Start(t.Context(), user.Engine, carrier, fmt.Sprint("K", i), 0, policy); err != nil {
			t.Fatal(err)
		}
	}
	for i := range each {
		user.raise(fmt.Sprint("P", i), "Approve", "yes")
		for _, e := range []string{"one", "two"} {
			user.raise(fmt.Sprint("K", i), "E", e)
		}
	}
	for range 4 {
		<-time.After(time.Duration(c.number(100)) * time.Second)
		n := c.number(len(kills))
		kills[n]()
		kills[n] = f.add()
	}
	for i := range each {
		user.raiseUntilThere(fmt.Sprintf("N%d~-child", i), "Approve", "yes")
		user.raise(fmt.Sprint("K", i), "go", 1)
		user.raise(fmt.Sprint("K", i), "go", 2)
	}
	for i := range each {
		id := fmt.Sprint("P", i)
		checkProgram(t, server, id, result(t, server, user.Engine, programs[i], id))
		id = fmt.Sprint("N", i)
		checkProgram(t, server, id+"~-child", result(t, server, user.Engine, parents[i], id))
		wantSound(t, server, id)
		id = fmt.Sprint("K", i)
		if out := result(t, server, user.Engine, carriers[i], id); out != "one two - -" {
			t.Errorf("%s has got %s", id, out)
		}
		wantSound(t, server, id)
	}
	for name, n := range b.all() {
		if strings.HasPrefix(name, "lambda ") && n != 2*each {
			t.Errorf("%s ran %d times", name, n)
		}
	}
	c.mu.Lock()
	if c.left > maxFaults/2 {
		t.Errorf("only %d faults happened", maxFaults-c.left)
	}
	c.left = 0
	c.mu.Unlock()
	<-time.After(5 * time.Minute) // slow calls end
	t.Log("faults:", c.done)
}

// raiseUntilThere waits for the run before it raises an event.
func (p *process) raiseUntilThere(id, name string, payload any) {
	p.t.Helper()
	for try := 0; ; try++ {
		err := p.RaiseEvent(p.t.Context(), id, name, payload)
		if err == nil {
			return
		}
		if try == 100 {
			p.t.Fatal(err)
		}
		<-time.After(10 * time.Second)
	}
}
