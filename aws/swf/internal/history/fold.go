package history

import (
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Fold is a run as its history tells it, up to an event. The same events give the same fold to every reader.
type Fold struct {
	Info     lambdabiz.RunInfo
	Home     string      // SWF's own run id
	NextHome string      // of the run that continues this one
	List     string      // the task list of its decisions
	Role     string      // the Lambda role of the execution
	Kept     *wire.Start // its input; nil if somebody else has written it
	Owners   []string    // who asked for a run driven by hand, in order
	Closed   bool

	Inbox
	Operations
	arrivals

	Last    int64 // the last event folded
	Applied int64 // the fence of the last commit that was applied
	News    int64 // the last event that the engine wants to know of
	Crashes int   // decision tasks in a row that nobody has answered
	WakeDue bool  // the wake-up timer has fired since the last commit
	freed   int64 // the last event that asked for a blocked run to be tried again

	Denied      string    // a decision that SWF will not follow, and why, until somebody resumes the run
	CloseBefore time.Time // SWF has no room for the end of the run before
}

// New is the fold of no events.
func New(id, home string) *Fold {
	return &Fold{
		Info: lambdabiz.RunInfo{ID: id}, Home: home, Inbox: newInbox(), Operations: newOperations(),
	}
}

// Clone copies a fold, so that a later claim does not change what an earlier one has handed out.
func (f *Fold) Clone() *Fold {
	c := *f
	c.Owners = slices.Clone(f.Owners)
	c.Inbox, c.Operations, c.arrivals = f.Inbox.clone(), f.Operations.clone(), f.arrivals.clone()
	return &c
}

// Record is the run for the engine: the caller's own.
func (f *Fold) Record() lambdabiz.Record {
	rec := lambdabiz.Record{RunInfo: f.Info, Messages: slices.Clone(f.Messages)}
	rec.Tags = maps.Clone(f.Info.Tags)
	for _, o := range f.Ops {
		rec.Operations = append(rec.Operations, o.Operation)
	}
	return rec
}

// Owner is who asked last for a run driven by hand.
func (f *Fold) Owner() string {
	if len(f.Owners) == 0 {
		return ""
	}
	return f.Owners[len(f.Owners)-1]
}

// Take applies a commit, which came with the answer to the decision task of the fence.
func (f *Fold) Take(j *wire.Journal, fence int64) {
	if !j.Skip {
		f.Applied, f.WakeDue = fence, false
	}
	if j.Again {
		f.News = f.Last
	}
	for i := range j.Ops {
		rec := &j.Ops[i]
		if rec.Kind == lambdabiz.KindEvent && rec.Status == lambdabiz.StatusTimeout && f.hasEvent(rec.Name, fence, rec.Due) {
			f.Applied = 0 // an event came by then, while the decision was made: whoever thinks it did not starts afresh
			f.News = f.Last
			continue
		}
		f.Put(rec)
	}
	f.consume(j.Consumed)
	if j.Progress != nil {
		f.Info.Progress = lambdabiz.Payload(j.Progress)
	}
	if j.Started && f.Info.StartedAt.IsZero() {
		f.Info.StartedAt, f.Info.Status = j.At, lambdabiz.StatusStarted
	}
	if j.Orphans != nil {
		f.Info.Orphans = j.Orphans
	}
	if !j.Skip {
		f.Info.WakeAt, f.Info.Blocked = j.WakeAt, j.Blocked
		if f.freed > fence {
			f.Info.Blocked = nil // the decision had not seen it yet
		}
	}
}

// message puts a message into the inbox, which the engine wants to know of.
func (f *Fold) message(m *lambdabiz.Message) {
	f.receive(m)
	f.News = max(f.News, f.Last)
}

// event puts an event into the inbox, unless its key was seen.
func (f *Fold) event(number int64, name, key string, data lambdabiz.Payload, at time.Time) {
	if f.Inbox.event(number, name, key, data, at) {
		f.News = max(f.News, f.Last)
	}
}

// cancel asks the run to end, once.
func (f *Fold) cancel(number int64, reason string, at time.Time) {
	if f.Info.CancelRequested {
		return
	}
	f.Info.CancelRequested, f.Info.CancelReason = true, reason
	f.message(&lambdabiz.Message{Number: number, Kind: lambdabiz.MessageCancel, ArrivedAt: at, Error: reasonOf(reason)})
}

// reasonOf is a reason as a message has it.
func reasonOf(reason string) *lambdabiz.Failure {
	if reason == "" {
		return nil
	}
	return &lambdabiz.Failure{Message: reason}
}

// hear takes what an event about an operation means to the run.
func (f *Fold) hear(n news) {
	if n.denied != "" {
		f.Denied, n.due = n.denied, true
	}
	if n.wake {
		f.WakeDue, n.due = true, true
	}
	if n.child != nil {
		f.message(n.child)
	}
	if n.due {
		f.News = f.Last
	}
}
