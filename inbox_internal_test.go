package lambdabiz

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// box is an inbox with what it should do, written down as plainly as can be: a list of events and a list of waits
// that are searched anew each time.
type plainInbox struct {
	events []Message
	waits  []*plainWait
}

type plainWait struct {
	o       *op
	visited bool
	has     int64 // the event that it is offered; 0 for none
}

// match offers each event, in the order of arrival, to the first wait that may have it.
func (p *plainInbox) match(idle, committing bool) {
	for _, w := range p.waits {
		w.has = 0
	}
	for _, m := range p.events {
		if w := p.waitFor(m, idle, committing); w != nil {
			w.has = m.Number
		}
	}
}

func (p *plainInbox) waitFor(m Message, idle, committing bool) *plainWait {
	for _, w := range p.waits {
		switch {
		case w.o.Name != m.Name, w.has != 0:
		case w.o.timingOut && committing:
			return nil
		case !w.o.DueAt.IsZero() && m.ArrivedAt.After(w.o.DueAt):
		case !w.visited && !idle:
			return nil
		case !w.visited:
		default:
			return w
		}
	}
	return nil
}

// inboxGame plays the same moves on both.
type inboxGame struct {
	t      *testing.T
	rng    *rand.Rand
	in     inbox
	plain  plainInbox
	number int64 // of the last event
	ops    int64 // of the last wait
	taken  []*mail
	moves  []string
}

func (g *inboxGame) notef(format string, args ...any) {
	g.moves = append(g.moves, fmt.Sprintf(format, args...))
}

func (g *inboxGame) arrive() {
	g.number++
	m := Message{
		Number: g.number, Kind: MessageEvent, Name: string(rune('a' + g.rng.IntN(2))),
		ArrivedAt: time.Unix(int64(g.rng.IntN(40)), 0), Payload: Payload("1"),
	}
	g.notef("event %d %s at %d", m.Number, m.Name, m.ArrivedAt.Unix())
	g.in.arrive(&m)
	g.plain.events = append(g.plain.events, m)
}

func (g *inboxGame) expect() {
	g.ops++
	o := &op{Operation: Operation{Number: g.ops, Kind: KindEvent, Name: string(rune('a' + g.rng.IntN(2)))}}
	if g.rng.IntN(3) == 0 {
		o.DueAt = time.Unix(int64(g.rng.IntN(40)), 0)
	}
	visited := g.rng.IntN(4) > 0
	g.notef("wait %d %s until %d, visited %v", o.Number, o.Name, o.DueAt.Unix(), visited)
	g.in.expect(o, visited)
	g.plain.waits = append(g.plain.waits, &plainWait{o: o, visited: visited})
}

func (g *inboxGame) someWait() *plainWait {
	if len(g.plain.waits) == 0 {
		return nil
	}
	return g.plain.waits[g.rng.IntN(len(g.plain.waits))]
}

func (g *inboxGame) dropWait(w *plainWait) {
	g.plain.waits = slices.DeleteFunc(g.plain.waits, func(x *plainWait) bool { return x == w })
}

func (g *inboxGame) dropEvent(n int64) {
	g.plain.events = slices.DeleteFunc(g.plain.events, func(m Message) bool { return m.Number == n })
}

func (g *inboxGame) move() {
	switch w := g.someWait(); g.rng.IntN(9) {
	case 0, 1, 2:
		g.arrive()
	case 3, 4:
		g.expect()
	case 5: // the code has read what it was offered
		if w != nil && w.o.wait.mail != nil {
			g.notef("wait %d takes %d", w.o.Number, w.o.wait.mail.Number)
			m := g.in.consume(w.o.wait)
			g.taken = append(g.taken, m)
			g.dropEvent(m.Number)
			g.dropWait(w)
		}
	case 6: // a wait is cancelled
		if w != nil {
			g.notef("wait %d leaves", w.o.Number)
			g.in.leave(w.o)
			g.dropWait(w)
		}
	case 7: // an event is dropped, or given back
		if n := len(g.taken); n > 0 && g.rng.IntN(2) == 0 {
			m := g.taken[n-1]
			g.notef("event %d comes back", m.Number)
			g.taken = g.taken[:n-1]
			g.in.giveBack(m)
			g.plain.events = append(g.plain.events, m.Message)
			slices.SortFunc(g.plain.events, func(a, b Message) int { return cmp.Compare(a.Number, b.Number) })
		} else if len(g.plain.events) > 0 {
			m := g.plain.events[g.rng.IntN(len(g.plain.events))]
			g.notef("event %d is dropped", m.Number)
			g.in.drop(g.in.mails[m.Number])
			g.dropEvent(m.Number)
		}
	case 8:
		if w != nil && !w.visited {
			g.notef("wait %d is visited", w.o.Number)
			g.in.visit(w.o.wait)
			w.visited = true
		} else if w != nil && !w.o.DueAt.IsZero() && w.o.wait.mail == nil {
			w.o.timingOut = true
		}
	}
}

// compare reports whether both offer the same events to the same waits.
func (g *inboxGame) compare(what string) {
	g.t.Helper()
	for _, w := range g.plain.waits {
		var has int64
		if m := w.o.wait.mail; m != nil {
			has = m.Number
		}
		if has != w.has {
			g.t.Fatalf("%s: wait %d is offered event %d, want %d, after %q", what, w.o.Number, has, w.has, g.moves)
		}
	}
	var bytes int64
	for _, m := range g.in.mails {
		bytes += m.size()
	}
	if bytes != g.in.bytes || len(g.in.mails) != len(g.plain.events) {
		g.t.Fatalf("%s: %d events of %d bytes, want %d of %d", what, len(g.in.mails), g.in.bytes, len(g.plain.events), bytes)
	}
}

// The pairs that the inbox keeps are those that a search over all events and all waits would find.
func TestInboxPairsAsASearchOverEverythingDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		g := &inboxGame{t: t, rng: rand.New(rand.NewPCG(seed, 1))}
		for range 60 {
			g.move()
			switch g.rng.IntN(4) {
			case 0: // it has been idle: what is not visited was passed over, and stays so until something changes
				g.notef("idle")
				g.in.match(true, false)
				if !g.passedOver() {
					g.plain.match(true, false)
					g.compare(fmt.Sprintf("seed %d, idle", seed))
				}
			case 1:
				g.in.match(false, true)
			default:
				g.in.match(false, false)
				if !g.passedOver() {
					g.plain.match(false, false)
					g.compare(fmt.Sprintf("seed %d", seed))
				}
			}
		}
	}
}

// passedOver reports whether a wait has an event though one before it, which nobody has visited, might have had it.
func (g *inboxGame) passedOver() bool {
	for i, w := range g.plain.waits {
		for _, before := range g.plain.waits[:i] {
			if before.o.Name == w.o.Name && !before.visited && w.o.wait.mail != nil {
				return true
			}
		}
	}
	return false
}
