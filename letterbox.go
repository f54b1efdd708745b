package lambdabiz

import (
	"sync"
	"time"
)

// letterbox is what has come for a run and was not taken in yet. The worker's loop serves all runs, so it waits for the
// lock of none: it leaves here what has come, and a goroutine takes it in as soon as it gets run.mu.
type letterbox struct {
	mu       sync.Mutex // may be taken under run.mu, not the other way round
	arrivals []Arrival
	taking   bool // a goroutine is about to take them in
}

// post leaves messages. It calls take on a goroutine of its own, unless one that takes them in is on its way.
func (b *letterbox) post(a Arrival, take func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrivals = append(b.arrivals, a)
	if !b.taking {
		b.taking = true
		go take()
	}
}

// empty takes out what is there.
func (b *letterbox) empty() []Arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	arrivals := b.arrivals
	b.arrivals, b.taking = nil, false
	return arrivals
}

// earlyMessages is what has come during a claim before the run or the answer to the claim.
type earlyMessages struct {
	at       time.Time
	fence    int64 // the claim's
	messages []Message
}

// add takes the messages of the latest claim.
func (m *earlyMessages) add(a Arrival) {
	switch {
	case a.Ref.Fence < m.fence:
		return
	case a.Ref.Fence > m.fence:
		m.fence, m.messages = a.Ref.Fence, nil
	}
	m.at, m.messages = time.Now(), append(m.messages, a.Messages...)
}

// of returns what has come during the claim.
func (m *earlyMessages) of(ref RunRef) []Message {
	if m.fence != ref.Fence {
		return nil
	}
	return m.messages
}
