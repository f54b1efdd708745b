package invariant

import (
	"github.com/lambdabiz/lambdabiz"
)

// eventKey: events of one name with the same payload cannot be told apart once they are consumed, for a record
// has no key.
type eventKey struct{ id, name, payload string }

// events is how often an event was raised from outside.
type events struct {
	keys    map[string]bool // acknowledged with a key: true; tried: false
	bare    int             // acknowledged without a key
	tries   int             // tried without a key
	begun   int             // when the first raise began; 0 for none
	settled int             // when the last one was acknowledged
}

// Raising says that an event is about to be raised; what it returns is called when the raise is acknowledged. One
// that never is may have arrived all the same, once. Raises of one key count as one.
// An orchestration must not raise the same name with the same payload. The order of events is
// looked at where no two events of a name have the same payload.
func (l *Ledger) Raising(id, name, key string, payload lambdabiz.Payload) (acknowledged func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := eventKey{id, name, string(payload)}
	if l.events == nil {
		l.events = map[eventKey]*events{}
	}
	e := l.events[k]
	if e == nil {
		e = &events{keys: map[string]bool{}}
		l.events[k] = e
	}
	l.sequence++
	if e.begun == 0 {
		e.begun = l.sequence
	}
	if key == "" {
		e.tries++
	} else {
		e.keys[key] = e.keys[key] || false
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sequence++
		e.settled = l.sequence
		if key == "" {
			e.bare++
		} else {
			e.keys[key] = true
		}
	}
}

// least and most are how many there must be, and may be.
func (e *events) least() int {
	n := e.bare
	for _, acknowledged := range e.keys {
		if acknowledged {
			n++
		}
	}
	return n
}

func (e *events) most() int { return len(e.keys) + e.tries }

// checkEvents: of acknowledged events each is consumed once or pending once, in order. Consumed are those that a
// wait has recorded.
func (l *Ledger) checkEvents(all *runs) {
	if !all.whole {
		return // what earlier runs of an id have consumed is not known
	}
	found := map[eventKey]int{}
	last := map[string]eventKey{} // by id and name, of those before the one that was raised last
	all.each(func(r *lambdabiz.Record) {
		for _, k := range taken(r) {
			found[k]++
			l.checkOrder(k, last)
		}
	})
	for k, e := range l.events {
		where := operationKey{id: k.id}
		switch n := found[k]; {
		case n < e.least():
			l.faultf(Conservation, where, "event %s %s was acknowledged %d times, and %d are consumed or pending",
				k.name, k.payload, e.least(), n)
		case n > e.most():
			l.faultf(Conservation, where, "event %s %s was raised %d times, and %d are consumed or pending",
				k.name, k.payload, e.most(), n)
		}
	}
}

// checkOrder: an event does not come after one whose raise began when it had been acknowledged.
func (l *Ledger) checkOrder(k eventKey, last map[string]eventKey) {
	e := l.events[k]
	if e == nil || !e.single() {
		return
	}
	queue := k.id + "\x00" + k.name
	before, known := last[queue]
	if known && e.settled < l.events[before].begun {
		l.faultf(Conservation, operationKey{id: k.id}, "event %s: %s comes before %s, which was raised first",
			k.name, before.payload, k.payload)
	}
	if !known || l.events[before].begun < e.begun {
		last[queue] = k
	}
}

// single reports whether an event was acknowledged, and raised once.
func (e *events) single() bool { return e.least() == 1 && e.most() == 1 }

// taken is the events of a run: those that waits have taken, in the order of the waits, then the pending ones. A
// wait that a race has given up may have its event given back, so that only those that succeeded count.
func taken(r *lambdabiz.Record) []eventKey {
	var keys []eventKey
	for i := range r.Operations {
		if o := &r.Operations[i]; o.Kind == lambdabiz.KindEvent && o.Status == lambdabiz.StatusSucceeded {
			keys = append(keys, eventKey{r.ID, o.Name, string(o.Result)})
		}
	}
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Kind == lambdabiz.MessageEvent {
			keys = append(keys, eventKey{r.ID, m.Name, string(m.Payload)})
		}
	}
	return keys
}
