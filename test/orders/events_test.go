package orders_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// script is what a listener has still to do, and what it has heard so far. ContinueAsNew hands it on.
type script struct {
	Turns []turn
	Heard []heard
}

// turn is one wait, and what comes before it and after it. Times are milliseconds.
type turn struct {
	Before   int // a timer
	Step     bool
	Name     string
	Timeout  int  // 0 for none
	Continue bool // as a new run
}

// heard is an event, or the deadline by which there was none.
type heard struct {
	Name  string
	Value int
	Late  time.Time
}

var listen = lambdabiz.Define("Listen", func(o lambdabiz.Context, in script) (script, error) {
	for i, t := range in.Turns {
		if t.Before > 0 {
			if err := lambdabiz.Sleep(o, fmt.Sprintf("before %d@%dms", i, t.Before), time.Duration(t.Before)*time.Millisecond); err != nil {
				return in, err
			}
		}
		if t.Step {
			if err := lambdabiz.Do(o, fmt.Sprint("step ", i), func(context.Context) error { return nil }); err != nil {
				return in, err
			}
		}
		options := []lambdabiz.WaitOption{lambdabiz.Named(t.Name)}
		if t.Timeout > 0 {
			options = append(options, lambdabiz.Timeout(time.Duration(t.Timeout)*time.Millisecond))
		}
		v, err := lambdabiz.WaitForEvent[int](o, fmt.Sprint("wait ", i), options...)
		var late *lambdabiz.EventTimeoutError
		switch {
		case errors.As(err, &late):
			in.Heard = append(in.Heard, heard{Name: t.Name, Late: late.Deadline})
		case err != nil:
			return in, err
		default:
			in.Heard = append(in.Heard, heard{Name: t.Name, Value: v})
		}
		if t.Continue {
			return in, lambdabiz.ContinueAsNew(o, script{in.Turns[i+1:], in.Heard})
		}
	}
	in.Turns = nil
	return in, nil
})

var eventNames = []string{"A", "B", "unheard"}

func someScript(random *rand.Rand) script {
	var s script
	for range 2 + random.IntN(6) {
		t := turn{
			Name: eventNames[random.IntN(2)], Step: random.IntN(3) == 0, Continue: random.IntN(4) == 0,
			Timeout: []int{0, 0, 10, 20, 50}[random.IntN(5)],
		}
		if random.IntN(3) == 0 {
			t.Before = 5 * random.IntN(6)
		}
		s.Turns = append(s.Turns, t)
	}
	return s
}

// ack is an event that was acknowledged.
type ack struct {
	value int
	at    time.Time // when the sender knew of it
}

// listener is one orchestration with its senders.
type listener struct {
	s       *stage
	id      string
	clients []*lambdabiz.Engine
	counts  *tally
	mu      sync.Mutex
	acks    map[string][]ack
}

// send sends numbered events of one name, one after the other, until the orchestration has ended.
func (l *listener) send(name string, random *rand.Rand) {
	pace := time.Duration(1+random.IntN(6)) * 5 * time.Millisecond
	for n := 0; name != "unheard" || n < 5; n++ {
		pass(pace * time.Duration(random.IntN(6)))
		options := []lambdabiz.RaiseOption{lambdabiz.Key(fmt.Sprint(name, n))}
		if n < 12 && random.IntN(2) == 0 {
			options = append(options, lambdabiz.BeforeRestart(24*time.Hour))
		}
		doubled := random.IntN(3) == 0
		err := l.raise(name, n, options, doubled)
		switch {
		case err == nil:
			l.mu.Lock()
			l.acks[name] = append(l.acks[name], ack{n, time.Now()})
			l.mu.Unlock()
			l.counts.add("acknowledged", 1)
		case errors.Is(err, lambdabiz.ErrNotFound):
			l.counts.add("too early", 1)
			continue
		case errors.Is(err, lambdabiz.ErrClosed):
			l.counts.add("too late", 1)
			return
		default:
			l.s.complainf("%s: raise %s: %v", l.id, name, err)
			return
		}
		if random.IntN(4) == 0 { // a sender that repeats itself, perhaps after the end
			if err := l.clients[1].RaiseEvent(l.s.ctx, l.id, name, n, options...); err != nil {
				l.s.complainf("%s: a known key of %s was answered with %v", l.id, name, err)
			}
			l.counts.add("repeated", 1)
		}
	}
}

// raise sends an event once, or twice at the same time. It is acknowledged if one of the two is.
func (l *listener) raise(name string, n int, options []lambdabiz.RaiseOption, doubled bool) error {
	if !doubled {
		return l.clients[0].RaiseEvent(l.s.ctx, l.id, name, n, options...)
	}
	l.counts.add("sent twice", 1)
	second := make(chan error, 1)
	go func() { second <- l.clients[1].RaiseEvent(l.s.ctx, l.id, name, n, options...) }()
	err := l.clients[0].RaiseEvent(l.s.ctx, l.id, name, n, options...)
	if other := <-second; other == nil || err == nil {
		return nil
	}
	return err
}

// check compares what was acknowledged with what the run has heard, what it has left, and what is kept for
// the next start.
func (l *listener) check(out script) {
	rec, ok := l.s.load(l.id)
	if !ok {
		return
	}
	have := map[string][]int{}
	for _, h := range out.Heard {
		if h.Late.IsZero() {
			have[h.Name] = append(have[h.Name], h.Value)
			l.counts.add("consumed", 1)
			continue
		}
		l.counts.add("timed out", 1)
		if next := len(have[h.Name]); next < len(l.acks[h.Name]) && l.acks[h.Name][next].at.Before(h.Late) {
			l.s.complainf("%s: a wait for %s until %v timed out, though event %d was there at %v",
				l.id, h.Name, h.Late, l.acks[h.Name][next].value, l.acks[h.Name][next].at)
		}
	}
	l.left(have, rec, "left over")
	next, err := lambdabiz.Start(l.s.ctx, l.clients[0], later, l.id, 0, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	if err == nil || !errors.Is(err, lambdabiz.ErrExists) {
		l.s.complainf("%s: another definition may take the id: %v, %v", l.id, next, err)
	}
	begin(l.s, l.clients[0], listen, l.id, script{}, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
	if rec, ok = l.s.load(l.id); ok {
		l.left(have, rec, "kept")
	}
	for _, name := range eventNames {
		var want []int
		for _, a := range l.acks[name] {
			want = append(want, a.value)
		}
		if !slices.Equal(want, have[name]) {
			l.s.complainf("%s: of %s %v were acknowledged, %v were heard or are there", l.id, name, want, have[name])
		}
	}
}

// later is a definition of another name.
var later = lambdabiz.Define("Later", func(lambdabiz.Context, int) (int, error) { return 0, nil })

func (l *listener) left(have map[string][]int, rec *lambdabiz.Record, where string) {
	for _, m := range rec.Messages {
		if m.Kind != lambdabiz.MessageEvent {
			continue
		}
		var v int
		if l.s.must(json.Unmarshal(m.Payload, &v), "read an event") {
			have[m.Name] = append(have[m.Name], v)
			l.counts.add(where, 1)
		}
	}
}

// eventOrders plays n listeners with their senders on one store, whose workers come and go.
func eventOrders(
	t *testing.T, h home, random *rand.Rand, n int, counts *tally, seenAs func(lambdabiz.Backend) lambdabiz.Backend,
) string {
	t.Helper()
	return h.perform(t, func(s *stage) {
		d := &dice{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
		seen := slow(seenAs(s.store), d, 12, counts)
		clients := []*lambdabiz.Engine{
			s.engine(seen, lambdabiz.Config{PollInterval: 10 * time.Millisecond}, listen),
			s.engine(seen, lambdabiz.Config{PollInterval: 10 * time.Millisecond}),
		}
		var all sync.WaitGroup
		for i := range n {
			l := &listener{s: s, id: fmt.Sprint("listener-", i), clients: clients, counts: counts, acks: map[string][]ack{}}
			todo, start := someScript(random), upTo(random, 40)
			var seeds []*rand.Rand
			for k := range eventNames {
				seeds = append(seeds, campaign.Random(random.Uint64(), k))
			}
			all.Go(func() {
				var senders sync.WaitGroup
				for k, name := range eventNames {
					senders.Go(func() { l.send(name, seeds[k]) })
				}
				pass(start)
				out := result(s, begin(s, clients[0], listen, l.id, todo))
				senders.Wait()
				l.check(out)
			})
		}
		s.comeAndGo(seen, random, counts, 2, listen)
		all.Wait()
	})
}

// comeAndGo lets workers work for a while: some stop, one in so many is killed (0 for none), the last ones stay.
func (s *stage) comeAndGo(b lambdabiz.Backend, random *rand.Rand, counts *tally, killOneIn int, items ...lambdabiz.Registrable) {
	for range 3 {
		c := newCut(b, 0, false)
		config := lambdabiz.Config{PollInterval: 10 * time.Millisecond, ParkAfter: upTo(random, 20)}
		kill := killOneIn > 0 && random.IntN(killOneIn) == 0
		if kill {
			config = shortLife(config)
		}
		stop := s.work(s.engine(c, config, items...))
		pass(upTo(random, 80))
		if kill {
			counts.add("kills", 1)
			s.kill(c, stop)
		} else {
			counts.add("stops", 1)
			stop()
		}
	}
	for _, park := range []time.Duration{time.Millisecond, time.Minute} {
		s.work(s.engine(b, lambdabiz.Config{PollInterval: 10 * time.Millisecond, ParkAfter: park}, items...))
	}
}

// F11: events come before the start, with it, during commits, while the run parks, at the very moment of a
// time-out, with ContinueAsNew and after the end, in orders picked by the seed.
func TestEventsOfAllOrders(t *testing.T) {
	t.Parallel()
	const together = 20
	seed, rounds := campaign.Seed(t), campaign.Rounds(t, 8, 10_000/together)
	var counts tally
	must := func() []campaign.Count {
		return counts.list("acknowledged", "consumed", "timed out", "left over", "kept", "too early", "too late", "sent twice",
			"repeated", "held", "stops", "kills")
	}
	for round := range campaign.More(rounds, must) {
		random := campaign.Random(seed, round)
		if complaint := eventOrders(t, homes[round%len(homes)], random, together, &counts, straight); complaint != "" {
			t.Fatalf("round %d: %s", round, complaint)
		}
	}
	campaign.Report(t, "F11", must(), campaign.Count{What: "seeds", N: rounds * together})
}

// list makes counts for a report.
func (c *tally) list(names ...string) []campaign.Count {
	var list []campaign.Count
	for _, name := range names {
		list = append(list, campaign.Count{What: name, N: c.get(name)})
	}
	return list
}

// eachCommit changes commits on their way to the store.
func eachCommit(b lambdabiz.Backend, change func(c *lambdabiz.Commit)) lambdabiz.Backend {
	return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		changed := make([]*lambdabiz.Commit, len(batch))
		for i, c := range batch {
			other := *c
			change(&other)
			changed[i] = &other
		}
		return b.Commit(ctx, changed)
	}}
}

// losing acknowledges every ninth event without storing it.
func losing(b lambdabiz.Backend) lambdabiz.Backend {
	var n tally
	return &between{Backend: b, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		if len(batch) == 1 && len(batch[0].Raises) == 1 && n.add("raises", 1)%9 == 0 {
			return []lambdabiz.Verdict{{Raises: []lambdabiz.RaiseVerdict{{}}}}, nil
		}
		return b.Commit(ctx, batch)
	}}
}

func keyless(b lambdabiz.Backend) lambdabiz.Backend {
	return eachCommit(b, func(c *lambdabiz.Commit) {
		c.Raises = slices.Clone(c.Raises)
		for i := range c.Raises {
			c.Raises[i].Key = ""
		}
	})
}

func unconditional(b lambdabiz.Backend) lambdabiz.Backend {
	return eachCommit(b, func(c *lambdabiz.Commit) { c.Conditional = false })
}

func TestSabotageEvents(t *testing.T) {
	t.Parallel()
	for protection, remove := range map[string]func(lambdabiz.Backend) lambdabiz.Backend{
		"storing what is acknowledged": losing,
		"the keys of events":           keyless,
		"commits that are conditional": unconditional,
	} {
		t.Run(protection, func(t *testing.T) {
			t.Parallel()
			seed := campaign.Seed(t)
			campaign.Red(t, "F11", protection, campaign.UntilRed(func(round int) string {
				return eventOrders(t, homes[0], campaign.Random(seed, round), 20, &tally{}, remove)
			}))
		})
	}
}
