package fakeswf

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"time"
)

// Server is a whole SWF in memory. It implements [http.Handler] and is safe for concurrent use. Close it before a
// [net/http/httptest.Server] around it, which waits for the polls.
type Server struct {
	cfg    Config
	clock  Clock
	limits Limits

	done     context.Context //nolint:containedctx // the lifetime of the server itself, for its Lambda functions
	cancel   context.CancelFunc
	lambdas  sync.WaitGroup
	counting sync.Mutex // guards calls and log
	calls    map[string]int
	log      []Call

	mu      sync.Mutex // guards all below
	closed  bool
	domains map[string]*domain
	runs    map[string]*execution // by run id
	alarms  map[*alarm]struct{}
	soon    []func() // runs before the lock is given back
}

// New returns an empty server. Close it.
func New(cfg Config) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		cfg: cfg, clock: cfg.Clock, limits: cfg.Limits.withDefaults(), done: ctx, cancel: cancel,
		calls: map[string]int{}, domains: map[string]*domain{}, runs: map[string]*execution{}, alarms: map[*alarm]struct{}{},
	}
	if s.clock == nil {
		s.clock = realClock{}
	}
	s.cfg.PollWait = cmp.Or(cfg.PollWait, time.Minute)
	return s
}

// Close ends all polls with an empty result, stops the clock's alarms, cancels the Lambda functions and waits for them.
// Later calls are refused with ServiceUnavailable.
func (s *Server) Close() {
	s.lock()
	s.closed = true
	for a := range s.alarms {
		s.stop(a)
	}
	s.unlock()
	s.cancel()
	s.lambdas.Wait()
}

// Calls counts the requests by action, also refused and lost ones.
func (s *Server) Calls() map[string]int {
	s.counting.Lock()
	defer s.counting.Unlock()
	return maps.Clone(s.calls)
}

// CallLog returns all requests in their order, if Config.LogCalls is set.
func (s *Server) CallLog() []Call {
	s.counting.Lock()
	defer s.counting.Unlock()
	return slices.Clone(s.log)
}

// Event is an entry of a history.
type Event struct {
	ID         int64
	Type       string // such as TimerFired
	Time       time.Time
	Attributes map[string]any // as on the wire, numbers as int64; read only
}

// Events returns the history of a run, or of the latest run if runID is empty; nil if there is none.
func (s *Server) Events(domain, workflowID, runID string) []Event {
	s.lock()
	defer s.unlock()
	d := s.domains[domain]
	if d == nil {
		return nil
	}
	var found *execution
	for _, ex := range d.runs {
		if ex.workflowID == workflowID && (runID == "" || runID == ex.runID) {
			found = ex
		}
	}
	if found == nil {
		return nil
	}
	events := make([]Event, len(found.events))
	for i, e := range found.events {
		events[i] = Event{ID: int64(i + 1), Type: e.kind, Time: e.at, Attributes: maps.Clone(e.attributes)}
	}
	return events
}

// LatestRun is the run id of the latest run of an id, which lists may not show yet; "" if there is none.
func (s *Server) LatestRun(domain, workflowID string) string {
	s.lock()
	defer s.unlock()
	latest := ""
	if d := s.domains[domain]; d != nil {
		for _, ex := range d.runs {
			if ex.workflowID == workflowID {
				latest = ex.runID
			}
		}
	}
	return latest
}

// Expire removes the closed runs of a domain, as if "the duration (in days) that records and histories of workflow executions on
// the domain should be kept by the service" were over for all of them.
func (s *Server) Expire(domain string) {
	s.lock()
	defer s.unlock()
	d := s.domains[domain]
	if d == nil {
		return
	}
	d.runs = slices.DeleteFunc(d.runs, func(ex *execution) bool {
		if !ex.isOpen() {
			delete(s.runs, ex.runID)
		}
		return !ex.isOpen()
	})
}

func (s *Server) lock() {
	s.mu.Lock()
}

// unlock first runs what became due at once, such as a timer of 0 seconds.
func (s *Server) unlock() {
	for len(s.soon) > 0 {
		f := s.soon[0]
		s.soon = s.soon[1:]
		f()
	}
	s.mu.Unlock()
}

// now is the time of an event; the wire has milliseconds.
func (s *Server) now() time.Time {
	return s.clock.Now().UTC().Truncate(time.Millisecond)
}

// alarm is a call of the clock that is still to come.
type alarm struct {
	stop func() bool
}

// after calls f with the lock held when d has passed, unless the alarm is stopped before. The lock must be held.
func (s *Server) after(d time.Duration, f func()) *alarm {
	a := &alarm{stop: func() bool { return true }}
	s.alarms[a] = struct{}{}
	ring := func() {
		if _, waiting := s.alarms[a]; waiting {
			delete(s.alarms, a)
			f()
		}
	}
	if d <= 0 {
		s.soon = append(s.soon, ring)
		return a
	}
	a.stop = s.clock.AfterFunc(d, func() {
		s.lock()
		defer s.unlock()
		ring()
	})
	return a
}

// afterText is after for a duration of the wire; NONE gives no alarm.
func (s *Server) afterText(duration string, f func()) *alarm {
	d, limited := seconds(duration)
	if !limited {
		return nil
	}
	return s.after(d, f)
}

// stop prevents the alarm; nil is fine. The lock must be held.
func (s *Server) stop(a *alarm) {
	if a != nil {
		delete(s.alarms, a)
		a.stop()
	}
}

// newRunID is opaque, as AWS's run ids are.
func newRunID() string {
	return "22" + rand.Text() + "="
}
