package swf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// fold is a run as its history tells it, up to an event. The same events give the same fold to every reader.
type fold struct {
	info     lambdabiz.RunInfo
	home     string // SWF's own run id
	nextHome string // of the run that continues this one
	list     string // the task list of its decisions
	role     string // the Lambda role of the execution
	kept     *startEnvelope
	owners   []string    // who asked for a run driven by hand, in order
	ops      []*foldedOp // in the order of their numbers
	messages []lambdabiz.Message
	keys     map[string]bool // hashes of those of events
	keyOrder []string

	last    int64 // the last event folded
	started int64 // the last DecisionTaskStarted
	held    bool  // it is neither answered nor over
	applied int64 // the fence of the last commit that was applied
	news    int64 // the last event that the engine wants to know of
	crashes int
	wakeDue bool  // the wake-up timer has fired since the last commit
	freed   int64 // the last event that asked for a blocked run to be tried again

	wake     *wakeTimer
	partial  []string // markers of a journal that is not complete
	parts    int
	pending  *journal // of a decision that closes the run, until it is known whether it did
	fence    int64    // of the decision that the journal in pending or partial belongs to
	byEvent  map[int64]*foldedOp
	cancels  map[int64]int64 // operations of children by the event that began to cancel them
	openWork int             // open activities and Lambda functions
	children int             // open children
	timers   int             // open timers, wake-up included
	sent     []string        // parts of the journal of a decision to come
	changed  map[int64]bool  // operations that the store does not have as they are
	closed   bool

	denied      string    // a decision that SWF will not follow, and why, until somebody resumes the run
	closeBefore time.Time // SWF has no room for the end of the run before
}

// foldedOp is an operation with what SWF has open for it.
type foldedOp struct {
	lambdabiz.Operation
	attempt  *attemptRecord
	open     int64  // the event that scheduled what is open; 0 for nothing
	homeID   string // the id under which it is open
	stopping bool   // a cancellation was asked for
	told     bool   // the child has got it, or nobody will ever get it
	child    string // SWF's run id of the child that was started
	deaths   int    // workers that have died with an attempt
	detached bool
	key      string // of a raised event, as its control says
	again    bool   // the event is still to be raised

	start     *childRecord // of a child
	begun     bool         // the child
	refusals  int          // for want of room, in a row
	notBefore time.Time    // when SWF is asked again
}

// wakeTimer is the timer that makes a run due at a time.
type wakeTimer struct {
	event int64
	id    string
	at    time.Time
}

func newFold() *fold {
	return &fold{
		keys: map[string]bool{}, byEvent: map[int64]*foldedOp{}, cancels: map[int64]int64{}, changed: map[int64]bool{},
	}
}

// clone copies a fold, so that a later claim does not change what an earlier one has handed out.
func (f *fold) clone() *fold {
	c := *f
	c.ops = make([]*foldedOp, len(f.ops))
	byOld := make(map[*foldedOp]*foldedOp, len(f.ops))
	for i, o := range f.ops {
		n := *o
		c.ops[i], byOld[o] = &n, &n
	}
	c.byEvent = make(map[int64]*foldedOp, len(f.byEvent))
	for event, o := range f.byEvent {
		c.byEvent[event] = byOld[o]
	}
	c.messages, c.keyOrder, c.partial = slices.Clone(f.messages), slices.Clone(f.keyOrder), slices.Clone(f.partial)
	c.owners, c.sent = slices.Clone(f.owners), slices.Clone(f.sent)
	c.keys, c.changed, c.cancels = maps.Clone(f.keys), maps.Clone(f.changed), maps.Clone(f.cancels)
	return &c
}

// record is the run for the engine: the caller's own.
func (f *fold) record() lambdabiz.Record {
	rec := lambdabiz.Record{RunInfo: f.info, Messages: slices.Clone(f.messages)}
	rec.Tags = maps.Clone(f.info.Tags)
	for _, o := range f.ops {
		rec.Operations = append(rec.Operations, o.Operation)
	}
	return rec
}

func (f *fold) op(number int64) *foldedOp {
	i, found := slices.BinarySearchFunc(f.ops, number, func(o *foldedOp, n int64) int { return int(o.Number - n) })
	if !found {
		return nil
	}
	return f.ops[i]
}

// owner is who asked last for a run driven by hand.
func (f *fold) owner() string {
	if len(f.owners) == 0 {
		return ""
	}
	return f.owners[len(f.owners)-1]
}

// put inserts or replaces an operation by its number; what is open for it stays.
func (f *fold) put(rec *opRecord) *foldedOp {
	o := f.op(rec.Number)
	if o == nil {
		o = &foldedOp{}
		i, _ := slices.BinarySearchFunc(f.ops, rec.Number, func(o *foldedOp, n int64) int { return int(o.Number - n) })
		f.ops = slices.Insert(f.ops, i, o)
	}
	o.Operation = rec.operation()
	if rec.Attempt != nil {
		o.attempt = rec.Attempt
	}
	if rec.Child != nil {
		o.start = rec.Child
	}
	if rec.Raise != nil && o.open == 0 && !o.Status.Ended() {
		o.key, o.again = rec.Raise.Key, true
	}
	f.changed[o.Number] = true
	return o
}

// apply takes the next event.
func (f *fold) apply(e *types.HistoryEvent) {
	if e.EventId <= f.last {
		return
	}
	f.last = e.EventId
	at := stamp(aws.ToTime(e.EventTimestamp))
	if f.pending != nil && strings.HasPrefix(string(e.EventType), "WorkflowExecution") && isClosing(e.EventType) {
		f.take(f.pending, f.fence)
		f.pending = nil
	}
	switch {
	case f.applyRun(e, at), f.applyDecision(e), f.applyWork(e, at), f.applyTimer(e, at), f.applyOther(e, at):
	}
}

func stamp(t time.Time) time.Time { return t.UTC().Round(0).Truncate(time.Microsecond) }

func isClosing(t types.EventType) bool {
	switch t {
	case types.EventTypeWorkflowExecutionCompleted, types.EventTypeWorkflowExecutionFailed,
		types.EventTypeWorkflowExecutionCanceled, types.EventTypeWorkflowExecutionContinuedAsNew:
		return true
	default:
		return false
	}
}

// applyRun takes the beginning and the end of the run.
func (f *fold) applyRun(e *types.HistoryEvent, at time.Time) bool {
	switch e.EventType {
	case types.EventTypeWorkflowExecutionStarted:
		f.begin(e.WorkflowExecutionStartedEventAttributes, at)
	case types.EventTypeWorkflowExecutionCompleted:
		f.end(at, lambdabiz.StatusSucceeded, nil)
		f.info.Result = resultOf(e.WorkflowExecutionCompletedEventAttributes.Result)
	case types.EventTypeWorkflowExecutionFailed:
		a := e.WorkflowExecutionFailedEventAttributes
		f.endAs(at, failureOf(lambdabiz.StatusFailed, a.Reason, a.Details))
	case types.EventTypeWorkflowExecutionCanceled:
		f.endAs(at, failureOf(lambdabiz.StatusCancelled, nil, e.WorkflowExecutionCanceledEventAttributes.Details))
	case types.EventTypeWorkflowExecutionTimedOut:
		f.end(at, lambdabiz.StatusTimeout, &lambdabiz.Failure{Message: "Amazon SWF ended the run: its time was over"})
	case types.EventTypeWorkflowExecutionTerminated:
		f.terminated(e.WorkflowExecutionTerminatedEventAttributes, at)
	case types.EventTypeWorkflowExecutionContinuedAsNew:
		a := e.WorkflowExecutionContinuedAsNewEventAttributes
		f.end(at, lambdabiz.StatusSucceeded, nil)
		var next startEnvelope
		if open(aws.ToString(a.Input), &next) == nil {
			f.info.ContinuedAs = next.RunID
		} else {
			f.info.ContinuedAs = aws.ToString(a.NewExecutionRunId)
		}
		f.messages, f.nextHome = nil, aws.ToString(a.NewExecutionRunId) // the next run has them
	default:
		return false
	}
	return true
}

func (f *fold) terminated(a *types.WorkflowExecutionTerminatedEventAttributes, at time.Time) {
	failure := lambdabiz.FailureOf(lambdabiz.ErrTerminated)
	reason := aws.ToString(a.Details) + aws.ToString(a.Reason)
	if reason == "" && a.Cause == types.WorkflowExecutionTerminatedCauseEventLimitExceeded {
		reason = fmt.Sprintf("its history has reached %d events, where Amazon SWF ends a run (%s): let the orchestration return "+
			"ContinueAsNew in time", maxEvents, a.Cause)
	}
	if reason != "" {
		failure = &lambdabiz.Failure{
			Message: lambdabiz.ErrTerminated.Error() + ": " + reason, Causes: []*lambdabiz.Failure{failure},
		}
	}
	f.end(at, lambdabiz.StatusTerminated, failure)
}

func (f *fold) endAs(at time.Time, out outcomeEnvelope) {
	f.end(at, out.Status, out.Error)
	f.info.Result = lambdabiz.Payload(out.Result)
}

func (f *fold) end(at time.Time, status lambdabiz.Status, failure *lambdabiz.Failure) {
	f.closed = true
	f.info.Status, f.info.Error, f.info.EndedAt = status, failure, at
	f.info.Blocked, f.info.Paused, f.info.PauseReason, f.info.WakeAt = nil, false, "", time.Time{}
}

// begin reads the start.
func (f *fold) begin(a *types.WorkflowExecutionStartedEventAttributes, at time.Time) {
	f.info = lambdabiz.RunInfo{
		ID: f.info.ID, Name: decodeID(aws.ToString(a.WorkflowType.Name)), Status: lambdabiz.StatusScheduled,
		ScheduledAt: at, RunID: f.home,
	}
	f.list, f.role = aws.ToString(a.TaskList.Name), aws.ToString(a.LambdaRole)
	f.info.Queue = decodeID(f.list)
	f.news = f.last
	var s startEnvelope
	if open(aws.ToString(a.Input), &s) != nil {
		if a.Input != nil {
			f.info.Input = lambdabiz.Payload(*a.Input)
		}
		return
	}
	f.kept = &s
	i := &f.info
	i.RunID, i.ScheduledAt, i.Tags, i.Parent = s.RunID, s.At, s.Tags, s.Parent
	i.Deadline, i.Input, i.Previous = s.Deadline, lambdabiz.Payload(s.Input), s.Previous
	i.Paused, i.PauseReason = s.Paused, s.PauseReason
	if s.Hand {
		i.Mode = lambdabiz.ModeHand
	}
	if s.Name != "" {
		i.Name = s.Name
	}
	f.addKeys(&s)
	number := messageNumber(f.last)
	if s.Cancel != nil {
		f.cancel(number, s.Cancel.Reason, s.Cancel.At)
	}
	for _, e := range s.Events {
		number++
		f.event(number, e.Name, e.Key, lambdabiz.Payload(e.Data), e.At)
	}
}

// messageNumber is the number of the message that came with an event: there is room for those that a start
// brings along.
func messageNumber(event int64) int64 { return event << 16 }

// event puts an event into the inbox, unless its key was seen.
func (f *fold) event(number int64, name, key string, data lambdabiz.Payload, at time.Time) {
	if key != "" {
		hash := hashOf(key)
		if f.keys[hash] {
			return
		}
		f.addKey(hash)
		if strings.HasPrefix(key, ownKey) {
			key = ""
		}
	}
	f.message(lambdabiz.Message{
		Number: number, Kind: lambdabiz.MessageEvent, Name: name, Key: key, Payload: data, ArrivedAt: at,
	})
}

func (f *fold) message(m lambdabiz.Message) {
	f.messages = append(f.messages, m)
	f.news = max(f.news, f.last)
}

// cancel asks the run to end, once.
func (f *fold) cancel(number int64, reason string, at time.Time) {
	if f.info.CancelRequested {
		return
	}
	f.info.CancelRequested, f.info.CancelReason = true, reason
	m := lambdabiz.Message{Number: number, Kind: lambdabiz.MessageCancel, ArrivedAt: at}
	if reason != "" {
		m.Error = &lambdabiz.Failure{Message: reason}
	}
	f.message(m)
}

// applyDecision takes the events of decision tasks and the journals that came with them.
func (f *fold) applyDecision(e *types.HistoryEvent) bool {
	switch e.EventType {
	case types.EventTypeDecisionTaskStarted:
		f.started, f.held, f.sent = e.EventId, true, nil
	case types.EventTypeDecisionTaskTimedOut:
		f.crashes++
		f.news, f.held = e.EventId, false
	case types.EventTypeDecisionTaskCompleted:
		a := e.DecisionTaskCompletedEventAttributes
		f.crashes, f.pending, f.partial, f.parts, f.held = 0, nil, nil, 0, false
		var j journal
		if open(aws.ToString(a.ExecutionContext), &j) != nil {
			break
		}
		f.fence = a.StartedEventId
		if j.Ahead && len(f.sent) == j.Parts {
			text := strings.Join(f.sent, "")
			if j = (journal{}); open(text, &j) != nil {
				break
			}
		}
		if f.sent = nil; j.Parts > 0 {
			f.parts = j.Parts
			break
		}
		f.takeOrHold(&j)
	case types.EventTypeMarkerRecorded:
		a := e.MarkerRecordedEventAttributes
		if f.parts == 0 || aws.ToString(a.MarkerName) != journalMarker {
			break
		}
		f.partial = append(f.partial, aws.ToString(a.Details))
		if len(f.partial) == f.parts {
			var j journal
			text := strings.Join(f.partial, "")
			f.partial, f.parts = nil, 0
			if open(text, &j) == nil {
				f.takeOrHold(&j)
			}
		}
	case types.EventTypeCompleteWorkflowExecutionFailed, types.EventTypeFailWorkflowExecutionFailed,
		types.EventTypeCancelWorkflowExecutionFailed, types.EventTypeContinueAsNewWorkflowExecutionFailed:
		f.pending = nil // the closing did not happen, so nothing of its commit did
		f.news = e.EventId
		f.closingRefused(e)
	default:
		return false
	}
	return true
}

// journalMarker is the name of the markers that hold parts of a journal.
const journalMarker = "LambdaBiz"

func (f *fold) takeOrHold(j *journal) {
	if j.Closing {
		f.pending = j
		return
	}
	f.take(j, f.fence)
}

// take applies a commit.
func (f *fold) take(j *journal, fence int64) {
	if !j.Skip {
		f.applied, f.wakeDue = fence, false
	}
	if j.Again {
		f.news = f.last
	}
	for i := range j.Ops {
		rec := &j.Ops[i]
		if rec.Kind == lambdabiz.KindEvent && rec.Status == lambdabiz.StatusTimeout && f.arrivedInTime(rec) {
			f.applied = 0 // the wait did not time out: whoever thinks so starts afresh
			f.news = f.last
			continue
		}
		f.put(rec)
	}
	f.messages = slices.DeleteFunc(f.messages, func(m lambdabiz.Message) bool {
		return m.Kind != lambdabiz.MessageCancel && slices.Contains(j.Consumed, m.Number)
	})
	if j.Progress != nil {
		f.info.Progress = lambdabiz.Payload(j.Progress)
	}
	if j.Started && f.info.StartedAt.IsZero() {
		f.info.StartedAt, f.info.Status = j.At, lambdabiz.StatusStarted
	}
	if j.Orphans != nil {
		f.info.Orphans = j.Orphans
	}
	if !j.Skip {
		f.info.WakeAt, f.info.Blocked = j.WakeAt, j.Blocked
		if f.freed > fence {
			f.info.Blocked = nil // the decision had not seen it yet
		}
	}
}

// arrivedInTime reports whether an event is there that the wait may take: it came while the decision was made.
func (f *fold) arrivedInTime(rec *opRecord) bool {
	return slices.ContainsFunc(f.messages, func(m lambdabiz.Message) bool {
		return m.Kind == lambdabiz.MessageEvent && m.Name == rec.Name && m.Number > messageNumber(f.fence) &&
			!m.ArrivedAt.After(rec.Due)
	})
}
