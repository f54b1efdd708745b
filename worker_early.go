package lambdabiz

import "time"

// residentOrEarly finds the run that messages are for. One whose start has claimed it may not be resident
// yet: its messages are kept until it enters.
func (e *Engine) residentOrEarly(a Arrival) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.residents[a.Ref.RunID]; r != nil {
		return r
	}
	t := time.Now()
	for id, early := range e.early {
		if t.Sub(early.at) > time.Minute {
			delete(e.early, id) // it was there once, and has left
		}
	}
	early := e.early[a.Ref.RunID]
	early.add(a)
	e.early[a.Ref.RunID] = early
	return nil
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

// keepAhead keeps messages, where commits end claims, that have come during a claim whose answer this copy has
// not got yet: the answer has older ones. It reports false for all others.
func (r *run) keepAhead(a Arrival) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ends() || a.Ref.Fence <= r.ref.Fence {
		return false
	}
	r.ahead.add(a)
	return true
}
