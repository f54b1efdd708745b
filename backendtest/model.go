package backendtest

import (
	"context"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// model is a backend that is as plain as it can be, to compare others with: for one goroutine, without
// an index, a queue or a copy. What can be derived is derived: unconsumed messages, known keys and
// runs that are due come from the log of all messages and from the rules, each time anew.
type model struct {
	endsClaim bool
	runs      []*modelRun // in the order of creation
	kept      []modelKept
	workers   []*lambdabiz.WorkerRecord // removed ones are nil; a worker's number is its place plus 1
	messages  int64                     // how many there have been
}

var _ lambdabiz.Backend = (*model)(nil)

type modelRun struct {
	lambdabiz.RunInfo
	operations []lambdabiz.Operation
	log        []modelMessage // all that ever came to the run and to those that it continues
	fence      int64
	held       bool
	follows    int64
	wanted     bool  // to be claimed whatever the clock and the messages say
	seen       int64 // the last message seen by the commit that ended the claim
}

type modelMessage struct {
	lambdabiz.Message
	consumed bool
}

type modelKept struct {
	lambdabiz.Raise
	at time.Time
}

func (r *modelRun) open() bool { return !r.Status.Ended() }

// newer returns the unconsumed messages above a number.
func (r *modelRun) newer(seen int64) []lambdabiz.Message {
	var out []lambdabiz.Message
	for _, m := range r.log {
		if !m.consumed && m.Number > seen {
			out = append(out, m.Message)
		}
	}
	return out
}

func (r *modelRun) knows(key string) bool {
	return key != "" && slices.ContainsFunc(r.log, func(m modelMessage) bool { return m.Key == key })
}

// due is the rule at lambdabiz.Claimed.
func (r *modelRun) due(now time.Time) bool {
	if !r.open() || r.held || r.Paused || r.Mode == lambdabiz.ModeHand {
		return false
	}
	byTime := !r.WakeAt.IsZero() && !r.WakeAt.After(now)
	byMessage := r.Blocked == nil && len(r.newer(r.seen)) > 0
	return r.wanted || byTime || byMessage
}

func (r *modelRun) ref() lambdabiz.RunRef {
	return lambdabiz.RunRef{ID: r.ID, RunID: r.RunID, Fence: r.fence}
}

func (r *modelRun) record() lambdabiz.Record {
	return lambdabiz.Record{RunInfo: r.RunInfo, Operations: slices.Clone(r.operations), Messages: r.newer(0)}
}

func (r *modelRun) claim(worker int64) lambdabiz.Claimed {
	if r.open() {
		r.fence++
		r.held, r.wanted, r.Worker, r.WakeAt = true, false, worker, time.Time{}
	}
	return lambdabiz.Claimed{Record: r.record(), Ref: r.ref(), Follows: r.follows}
}

func (r *modelRun) letGo() { r.held, r.Worker = false, 0 }

// find returns the latest run of an id when the run id is empty.
func (m *model) find(id, runID string) *modelRun {
	for _, r := range slices.Backward(m.runs) {
		if r.ID == id && (runID == "" || r.RunID == runID) {
			return r
		}
	}
	return nil
}

func (m *model) deliver(r *modelRun, message lambdabiz.Message) {
	m.messages++
	message.Number = m.messages
	r.log = append(r.log, modelMessage{Message: message})
}

func (m *model) Describe() lambdabiz.Description {
	return lambdabiz.Description{Name: "model", CommitEndsClaim: m.endsClaim, BatchSize: 100}
}

func (m *model) Close() error { return nil }

func (m *model) worker(number int64) *lambdabiz.WorkerRecord {
	if number < 1 || number > int64(len(m.workers)) {
		return nil
	}
	return m.workers[number-1]
}

func (m *model) Join(_ context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	number := int64(len(m.workers) + 1)
	m.workers = append(m.workers, &lambdabiz.WorkerRecord{WorkerInfo: w, Number: number})
	for _, r := range m.runs {
		served := slices.Contains(w.Names, r.Name)
		if r.open() && !r.held && r.Blocked != nil && r.Blocked.Version != w.Version && served {
			r.wanted = true
		}
	}
	return number, nil
}

func (m *model) Renew(_ context.Context, number int64) error {
	w := m.worker(number)
	if w == nil {
		return lambdabiz.ErrFenced
	}
	w.Beat++
	return nil
}

func (m *model) Leave(_ context.Context, number, beat int64) error {
	w := m.worker(number)
	if w == nil {
		return nil
	}
	if beat >= 0 && beat != w.Beat {
		return lambdabiz.ErrStale
	}
	m.workers[number-1] = nil
	for _, r := range m.runs {
		if r.held && r.Worker == number {
			r.letGo()
			r.fence++
			r.wanted = true
		}
	}
	return nil
}

func (m *model) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) {
	var out []lambdabiz.WorkerRecord
	for _, w := range m.workers {
		if w != nil {
			out = append(out, *w)
		}
	}
	return out, nil
}

func (m *model) Claim(_ context.Context, q lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if q.Hand != "" {
		r := m.find(q.Hand, "")
		switch {
		case r == nil:
			return lambdabiz.Claims{}, lambdabiz.ErrNotFound
		case r.Mode != lambdabiz.ModeHand:
			return lambdabiz.Claims{}, lambdabiz.ErrMode
		}
		return lambdabiz.Claims{Runs: []lambdabiz.Claimed{r.claim(0)}}, nil
	}
	if m.worker(q.Worker) == nil {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	claims := lambdabiz.Claims{Through: m.messages}
	for _, r := range m.runs {
		messages := r.newer(q.After)
		switch {
		case r.held && r.Worker == q.Worker && len(messages) > 0:
			claims.Arrived = append(claims.Arrived, lambdabiz.Arrival{Ref: r.ref(), Messages: messages})
		case r.due(q.Now) && slices.Contains(q.Names, r.Name) && !m.leaves(q.Worker, r) && len(claims.Runs) < q.Limit:
			claims.Runs = append(claims.Runs, r.claim(q.Worker))
		}
	}
	return claims, nil
}

// leaves reports whether a worker leaves a run to others: its version has blocked it, and another one is there.
func (m *model) leaves(number int64, r *modelRun) bool {
	version := m.worker(number).Version
	return r.Blocked != nil && r.Blocked.Version == version &&
		slices.ContainsFunc(m.workers, func(w *lambdabiz.WorkerRecord) bool {
			return w != nil && w.Version != version && slices.Contains(w.Names, r.Name)
		})
}

func (m *model) Load(_ context.Context, id, runID string) (*lambdabiz.Record, error) {
	r := m.find(id, runID)
	if r == nil {
		return nil, lambdabiz.ErrNotFound
	}
	record := r.record()
	return &record, nil
}

func (m *model) List(_ context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	var page lambdabiz.Page
	for _, r := range m.runs {
		if matches(f, r) && (f.AllRuns || m.find(r.ID, "") == r) {
			info := r.RunInfo
			info.Input, info.Result, info.Progress = nil, nil, nil
			page.Runs = append(page.Runs, info)
		}
	}
	return page, nil // as one page, oldest first: the comparison sorts
}

func matches(f lambdabiz.Filter, r *modelRun) bool {
	ok := len(f.Status) == 0 || slices.Contains(f.Status, r.Status)
	ok = ok && (f.Name == "" || f.Name == r.Name)
	ok = ok && len(r.ID) >= len(f.IDPrefix) && r.ID[:len(f.IDPrefix)] == f.IDPrefix
	ok = ok && (!f.Blocked || r.Blocked != nil) && (!f.Paused || r.Paused)
	ok = ok && (f.ScheduledAfter.IsZero() || !r.ScheduledAt.Before(f.ScheduledAfter))
	ok = ok && (f.ScheduledBefore.IsZero() || r.ScheduledAt.Before(f.ScheduledBefore))
	for k, v := range f.Tags {
		ok = ok && r.Tags[k] == v
	}
	return ok
}

// Purge knows an id and nothing else, for more is not asked of it.
func (m *model) Purge(_ context.Context, p lambdabiz.PurgeRequest) (int, error) {
	before := len(m.runs)
	ofID := func(r *modelRun) bool { return r.ID == p.ID }
	if slices.ContainsFunc(m.runs, func(r *modelRun) bool { return ofID(r) && r.open() }) {
		return 0, lambdabiz.ErrOpen
	}
	m.runs = slices.DeleteFunc(m.runs, ofID)
	return before - len(m.runs), nil
}
