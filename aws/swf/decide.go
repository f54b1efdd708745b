package swf

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// decision is an answer to a decision task.
type decision struct {
	journal   wire.Journal
	decisions []types.Decision
	closes    bool          // it ends the run
	plain     bool          // it is a journal and no more
	bytes     int           // of the inputs of what it begins
	more      bool          // there was room for more to begin, but for MaxBegin
	retry     time.Time     // when SWF shall be asked again for what it had no room for; zero for nothing
	ahead     int           // parts of the journal that have gone before it; see sendAhead
	after     *history.Fold // the run as it is after it
}

func (d *decision) add(x types.Decision) { d.decisions = append(d.decisions, x) }

// decide makes the answer that carries a commit. An error is of this commit: nothing was sent.
func (b *Backend) decide(ctx context.Context, h *handle, c *lambdabiz.Commit) (*decision, lambdabiz.Verdict, error) {
	var v lambdabiz.Verdict
	again := c.Again
	d := &decision{after: h.fold.Clone(), journal: wire.Journal{
		At: c.At, Consumed: c.Consumed, Progress: wire.Payload(c.Progress), Started: c.Started, WakeAt: c.WakeAt,
	}}
	v.Starts = make([]lambdabiz.StartVerdict, len(c.Starts))
	v.Raises = make([]lambdabiz.RaiseVerdict, len(c.Raises))
	v.Controls = make([]error, len(c.Controls))
	timeouts := b.journalOps(d, c)
	for i := range c.Starts {
		refused, err := b.startChild(ctx, d, h, &c.Starts[i], c.At)
		if err != nil {
			return nil, v, err
		}
		again = again || refused
	}
	for i := range c.Raises {
		if movesOn(h, c, &c.Raises[i]) {
			continue
		}
		done, err := b.raiseFrom(ctx, d, c, &c.Raises[i])
		if err != nil {
			return nil, v, err
		}
		again = again || done
	}
	for i := range c.Controls {
		if err := b.controlFrom(ctx, &c.Controls[i]); err != nil {
			return nil, v, err
		}
	}
	begin := b.begin
	if c.Close != nil {
		begin = b.beginLast
	}
	refused, err := begin(ctx, d, d.after, h.list)
	if err != nil {
		return nil, v, err
	}
	again = again || refused
	d.journal.Ops = refreshed(d)
	if c.Close != nil {
		return d, v, b.decideClose(ctx, d, h, c)
	}
	wake := d.due(c)
	d.plain = len(d.decisions) == 0 && c.Release == nil && !timeouts && !d.more && d.retry.IsZero()
	if d.journal.Again = again; again && !h.signalled && (wake.IsZero() || wake.After(c.At)) {
		wake = c.At // after a signal the next decision task comes by itself
	}
	b.wake(d, h, wake)
	return d, v, nil
}

// due is when the run needs its next decision, at the latest; zero for never by time.
func (d *decision) due(c *lambdabiz.Commit) time.Time {
	wake := c.WakeAt
	if r := c.Release; r != nil {
		d.journal.Release, d.journal.Blocked, d.journal.WakeAt = true, r.Blocked, r.WakeAt
		wake = r.WakeAt
	}
	switch {
	case d.more:
		return c.At
	case !d.retry.IsZero() && (wake.IsZero() || d.retry.Before(wake)):
		return d.retry
	default:
		return wake
	}
}

// refreshed gives the operations of a journal as they are after the starts and raises of its commit.
func refreshed(d *decision) []wire.Record {
	ops := d.journal.Ops
	for i := range ops {
		if o := d.after.Find(ops[i].Number); o != nil && o.Status != ops[i].Status {
			was := ops[i]
			ops[i] = wire.RecordOf(&o.Operation)
			ops[i].Attempt, ops[i].Child, ops[i].Raise = was.Attempt, was.Child, was.Raise
		}
	}
	return ops
}

// journalOps puts the commit's operations into the journal and into the run as it will be. It reports
// whether one is a wait's time-out, which only a reader can decide.
func (b *Backend) journalOps(d *decision, c *lambdabiz.Commit) (timeouts bool) {
	attempts := map[int64]*wire.Attempt{}
	for _, a := range c.Attempts {
		attempts[a.Operation] = &wire.Attempt{Local: a.Local, Timeout: a.Timeout, Heartbeat: a.Heartbeat, Key: a.Key}
	}
	for i := range c.Operations {
		op := c.Operations[i]
		op.Error = wire.Shrink(op.Error, wire.MaxPayload)
		rec := wire.RecordOf(&op)
		rec.Attempt = attempts[op.Number]
		if old := d.after.Find(op.Number); old != nil && old.Status.Ended() && old.Tried == nil && rec.Attempt == nil &&
			reflect.DeepEqual(wire.RecordOf(&old.Operation), rec) {
			continue // a decision before has recorded it, because the run could not close
		}
		d.journal.Ops = append(d.journal.Ops, rec)
		o := d.after.Put(&rec)
		if o.Status.Ended() && o.Open != 0 {
			stopOpen(d, o)
		}
		timeouts = timeouts || op.Kind == lambdabiz.KindEvent && op.Status == lambdabiz.StatusTimeout
	}
	return timeouts
}

// stopOpen asks SWF to stop what is open for an operation that has ended otherwise. A Lambda function
// cannot be stopped; a child is asked to cancel by a control.
func stopOpen(d *decision, o *history.Op) {
	switch {
	case o.Kind == lambdabiz.KindTimer:
		d.add(cancelTimer(o.HomeID))
		d.after.StopTimer(o)
	case (o.Kind == lambdabiz.KindTask || o.Kind == lambdabiz.KindService) && o.Attempt != nil && o.Attempt.Local && !o.Stopping:
		o.Stopping = true
		d.add(types.Decision{
			DecisionType: types.DecisionTypeRequestCancelActivityTask,
			RequestCancelActivityTaskDecisionAttributes: &types.RequestCancelActivityTaskDecisionAttributes{
				ActivityId: aws.String(o.HomeID),
			},
		})
	}
}

func cancelTimer(id string) types.Decision {
	return types.Decision{
		DecisionType:                  types.DecisionTypeCancelTimer,
		CancelTimerDecisionAttributes: &types.CancelTimerDecisionAttributes{TimerId: &id},
	}
}

// begin schedules what is recorded and not begun, while there is room: attempts of tasks and services, and
// timers. The rest waits for the next decision. What SWF cannot take fails its operation, which goes into the
// journal; the engine has to hear of it.
func (b *Backend) begin(ctx context.Context, d *decision, f *history.Fold, list string) (refused bool, err error) {
	if f.Denied != "" {
		return false, nil
	}
	if err := b.cancelChildren(ctx, d, f); err != nil {
		return false, err
	}
	for _, o := range f.Ops {
		if o.Status.Ended() || o.Open != 0 || o.Tried != nil || !hasRoom(f, d) {
			continue
		}
		failed := false
		switch o.Kind {
		case lambdabiz.KindRaise, lambdabiz.KindChild:
			if o.ToBegin() && (o.Kind == lambdabiz.KindRaise || f.OpenChildren < wire.MaxOpen) &&
				!d.waits(o) && d.fits(wire.Quoted(o.Input)) {
				failed, err = b.beginOther(ctx, d, f, o)
			}
		case lambdabiz.KindTimer:
			if f.OpenTimers < wire.MaxOpen && !d.waits(o) {
				f.OpenTimers++
				d.add(timerOf(o, now()))
			}
		case lambdabiz.KindTask, lambdabiz.KindService:
			if f.OpenWork < wire.MaxOpen && o.Attempt != nil && o.DueAt.IsZero() && d.fits(wire.Quoted(o.Input)) {
				failed, err = b.beginAttempt(ctx, d, f, o, list)
			}
		}
		if err != nil {
			return false, err
		}
		refused = refused || failed
	}
	return refused, nil
}

// hasRoom reports whether the history has room for one more beginning and all that follows from what is open: what began
// beyond that would let SWF end the run without a word. The rest begins when something has ended, or the run is ended
// with a clear error; see stopLong.
func hasRoom(f *history.Fold, d *decision) bool {
	return f.Last+int64(len(d.decisions))+wire.EventsOfWork*int64(f.OpenWork)+wire.EventsOfTimer*int64(f.OpenTimers)+
		wire.EventsOfChild*int64(f.OpenChildren) < wire.FullEvents
}

// beginAttempt begins an attempt of a task or a service. What SWF will never take fails the operation.
func (b *Backend) beginAttempt(ctx context.Context, d *decision, f *history.Fold, o *history.Op, list string) (refused bool, err error) {
	f.OpenWork++
	if err = b.schedule(ctx, d, f, o, list); isUnfit(err) {
		f.OpenWork--
		refuse(o, err, now())
		d.record(o)
		return true, nil
	}
	return false, err
}

// beginLast begins, with the end of the run, what goes on without it: children and raised events.
func (b *Backend) beginLast(ctx context.Context, d *decision, f *history.Fold, _ string) (refused bool, err error) {
	for _, o := range f.Ops {
		if o.Status.Ended() || o.Open != 0 || o.Tried != nil || !o.ToBegin() {
			continue
		}
		failed, err := b.beginOther(ctx, d, f, o)
		if err != nil {
			return false, err
		}
		refused = refused || failed
	}
	return refused, nil
}

// beginOther starts a child or raises an event. What SWF will never take fails the operation.
func (b *Backend) beginOther(ctx context.Context, d *decision, f *history.Fold, o *history.Op) (refused bool, err error) {
	if o.Kind == lambdabiz.KindChild {
		f.OpenChildren++
		o.Begun = true
		err = b.addChild(ctx, d, f, o)
	} else {
		o.Again = false
		err = signalOther(d, raiseOf(o), o.StartedAt)
	}
	if isUnfit(err) {
		if o.Kind == lambdabiz.KindChild {
			f.OpenChildren--
		}
		refuse(o, err, now())
		d.record(o)
		return true, nil
	}
	return false, err
}

// isUnfit reports that SWF will never take what an operation asks for.
func isUnfit(err error) bool {
	return errors.Is(err, lambdabiz.ErrTooLarge) || errors.Is(err, lambdabiz.ErrInvalidPayload)
}

// record puts an operation as it is into a journal, if it is not there already; see refreshed.
func (d *decision) record(o *history.Op) {
	if !slices.ContainsFunc(d.journal.Ops, func(r wire.Record) bool { return r.Number == o.Number }) {
		d.journal.Ops = append(d.journal.Ops, wire.RecordOf(&o.Operation))
	}
}

func timerOf(o *history.Op, at time.Time) types.Decision {
	text, _ := wire.Marshal(&wire.Control{Version: wire.Version, Op: o.Number}) // of numbers only
	return types.Decision{
		DecisionType: types.DecisionTypeStartTimer,
		StartTimerDecisionAttributes: &types.StartTimerDecisionAttributes{
			TimerId: aws.String(wire.AttemptID(o.ID, 1)), StartToFireTimeout: wire.Seconds(o.DueAt.Sub(at)), Control: &text,
		},
	}
}

func wakeTimerOf(fence int64, at time.Time, wait time.Duration) types.Decision {
	text, _ := wire.Marshal(&wire.Control{Version: wire.Version, Wake: at}) // of a time only
	return types.Decision{
		DecisionType: types.DecisionTypeStartTimer,
		StartTimerDecisionAttributes: &types.StartTimerDecisionAttributes{
			TimerId: aws.String(fmt.Sprintf("~wake~%d", fence)), StartToFireTimeout: wire.Seconds(wait), Control: &text,
		},
	}
}

// wake sees to it that the run is claimed at a time; never when that is zero.
func (b *Backend) wake(d *decision, h *handle, wake time.Time) {
	open := h.fold.Wake
	if h.fold.Denied != "" { // it may be the timers that are denied; a resume wakes the run
		return
	}
	switch {
	case open != nil && !wake.IsZero() && open.At.Equal(wake):
		return
	case open != nil:
		d.add(cancelTimer(open.ID))
	}
	if !wake.IsZero() {
		d.add(wakeTimerOf(h.fence, wake, time.Until(wake)))
	}
}

// schedule begins an attempt: as an activity if a worker of the engine performs it, else as a Lambda function.
func (b *Backend) schedule(ctx context.Context, d *decision, f *history.Fold, o *history.Op, list string) error {
	text, err := wire.Marshal(&wire.Control{Version: wire.Version, Op: o.Number, Attempt: o.Attempts})
	if err != nil {
		return err
	}
	id := wire.AttemptID(o.ID, o.Attempts)
	if !o.Attempt.Local {
		return b.scheduleLambda(d, o, id, text)
	}
	t, err := b.activityType(ctx, o.Name)
	if err != nil {
		return err
	}
	input, err := wire.Fit(fmt.Sprintf("input of operation %q", o.ID), &wire.Task{
		Version: wire.Version, ID: f.Info.ID, RunID: f.Info.RunID, Operation: o.ID, Kind: o.Kind, Name: o.Name,
		Attempt: o.Attempts, Key: o.Attempt.Key, Timeout: o.Attempt.Timeout, Heartbeat: o.Attempt.Heartbeat,
		Input: wire.Payload(o.Input), Details: wire.Payload(o.Details),
	})
	if err != nil {
		return err
	}
	none := aws.String("NONE")
	a := &types.ScheduleActivityTaskDecisionAttributes{
		ActivityId: &id, ActivityType: t, Control: &text, Input: &input,
		TaskList: &types.TaskList{Name: aws.String(wire.WorkList(list, o.Kind))}, ScheduleToStartTimeout: none,
		ScheduleToCloseTimeout: none, StartToCloseTimeout: none, HeartbeatTimeout: wire.Seconds(b.config.BeatTimeout),
	}
	if o.Attempt.Timeout > 0 { // the worker ends the attempt; this is for one that does not
		a.StartToCloseTimeout = wire.Seconds(min(o.Attempt.Timeout, wire.MaxRun) + b.config.BeatTimeout)
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeScheduleActivityTask, ScheduleActivityTaskDecisionAttributes: a,
	})
	return nil
}

func (b *Backend) scheduleLambda(d *decision, o *history.Op, id, text string) error {
	if n := len(o.Name); n > wire.MaxLambdaName {
		return fmt.Errorf("operation %q: Lambda function %q: %w: %d characters, the limit of Amazon SWF is %d",
			o.ID, o.Name, lambdabiz.ErrTooLarge, n, wire.MaxLambdaName)
	}
	if !utf8.Valid(o.Input) {
		return fmt.Errorf("operation %q: input of Lambda function %q: %w: it is not text", o.ID, o.Name, lambdabiz.ErrInvalidPayload)
	}
	limit := b.config.LambdaTimeout
	if o.Attempt.Timeout > 0 {
		limit = min(o.Attempt.Timeout, wire.MaxLambda)
	}
	input := string(o.Input)
	d.add(types.Decision{
		DecisionType: types.DecisionTypeScheduleLambdaFunction,
		ScheduleLambdaFunctionDecisionAttributes: &types.ScheduleLambdaFunctionDecisionAttributes{
			Id: &id, Name: aws.String(o.Name), Input: &input, Control: &text, StartToCloseTimeout: wire.Seconds(max(limit, time.Second)),
		},
	})
	return nil
}

// decideClose ends the run.
func (b *Backend) decideClose(ctx context.Context, d *decision, h *handle, c *lambdabiz.Commit) error {
	d.closes, d.journal.Closing, d.journal.Orphans = true, true, c.Close.Orphans
	if c.Close.Next != nil {
		return b.continueAs(ctx, d, h, c)
	}
	err := d.close(c.Close)
	if !errors.Is(err, lambdabiz.ErrTooLarge) {
		return err
	}
	// It would be as long at the next try: what is no text is longer in the history than the limit of a payload says.
	return d.close(&lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: lambdabiz.FailureOf(err), Orphans: c.Close.Orphans})
}

// close adds the decision that ends the run.
func (d *decision) close(c *lambdabiz.Close) error {
	if c.Status == lambdabiz.StatusSucceeded {
		a := &types.CompleteWorkflowExecutionDecisionAttributes{}
		switch {
		case c.Result == nil:
		case wire.IsPlain(c.Result):
			a.Result = aws.String(string(c.Result))
		default:
			text, err := wire.Fit("result", &wire.Outcome{Version: wire.Version, Status: c.Status, Result: wire.Payload(c.Result)})
			if err != nil {
				return err
			}
			a.Result = &text
		}
		d.add(types.Decision{
			DecisionType: types.DecisionTypeCompleteWorkflowExecution, CompleteWorkflowExecutionDecisionAttributes: a,
		})
		return nil
	}
	text, err := wire.Fit("error", &wire.Outcome{
		Version: wire.Version, Status: c.Status, Error: wire.Shrink(c.Error, wire.MaxPayload), Result: wire.Payload(c.Result),
	})
	if err != nil {
		return err
	}
	if c.Status == lambdabiz.StatusCancelled {
		d.add(types.Decision{
			DecisionType: types.DecisionTypeCancelWorkflowExecution,
			CancelWorkflowExecutionDecisionAttributes: &types.CancelWorkflowExecutionDecisionAttributes{Details: &text},
		})
		return nil
	}
	reason := c.Status.String()
	if c.Error != nil && c.Error.Message != "" {
		reason = wire.Cut(c.Error.Message, wire.MaxReason-3)
	}
	d.add(types.Decision{
		DecisionType:                            types.DecisionTypeFailWorkflowExecution,
		FailWorkflowExecutionDecisionAttributes: &types.FailWorkflowExecutionDecisionAttributes{Reason: &reason, Details: &text},
	})
	return nil
}

// continueAs ends the run and begins the next one, which gets what is not consumed.
func (b *Backend) continueAs(_ context.Context, d *decision, h *handle, c *lambdabiz.Commit) error {
	next := wire.StartOf(c.Close.Next, c.At)
	next.Parent = h.fold.Info.Parent
	if !next.At.After(h.fold.Info.ScheduledAt) { // versions in a store are ordered by it
		next.At = h.fold.Info.ScheduledAt.Add(time.Microsecond)
	}
	next.Previous = h.fold.Info.RunID
	next.Paused, next.PauseReason = h.fold.Info.Paused, h.fold.Info.PauseReason
	for _, m := range h.fold.Messages {
		switch {
		case m.Kind == lambdabiz.MessageCancel:
			next.Cancel = &wire.Cancel{At: m.ArrivedAt}
			if m.Error != nil {
				next.Cancel.Reason = m.Error.Message
			}
		case m.Kind == lambdabiz.MessageEvent && !consumedBy(c, m.Number):
			next.Events = append(next.Events, wire.KeptEvent{Name: m.Name, Key: m.Key, At: m.ArrivedAt, Data: wire.Payload(m.Payload)})
		}
	}
	for i := range c.Raises {
		r := &c.Raises[i]
		if movesOn(h, c, r) && (r.Key == "" || !h.fold.KnowsKey(r.Key)) {
			next.Events = append(next.Events, wire.KeptEvent{Name: r.Name, Key: r.Key, At: now(), Data: wire.Payload(r.Payload)})
		}
	}
	tags := wire.TagsOf(next)
	if kept := h.fold.Kept; kept != nil && kept.Name != "" { // its type stays
		_, tags = wire.TypeOf(h.fold.Info.ID, kept.Name, next)
	}
	input, err := h.fold.CarryKeys(next)
	if err != nil {
		return err
	}
	a := &types.ContinueAsNewWorkflowExecutionDecisionAttributes{
		Input: &input, TagList: tags, TaskList: &types.TaskList{Name: aws.String(h.fold.List)},
		ChildPolicy: types.ChildPolicyAbandon, ExecutionStartToCloseTimeout: wire.Seconds(wire.MaxRun),
		TaskStartToCloseTimeout: wire.Seconds(b.config.DecisionTimeout), WorkflowTypeVersion: aws.String(typeVersion),
	}
	if h.fold.Role != "" {
		a.LambdaRole = aws.String(h.fold.Role)
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeContinueAsNewWorkflowExecution, ContinueAsNewWorkflowExecutionDecisionAttributes: a,
	})
	return nil
}

// movesOn reports whether an event is one that the run raises in itself with the commit that continues it as a
// new run: the signal would come to the old one, so it goes to the new one with its start.
func movesOn(h *handle, c *lambdabiz.Commit, r *lambdabiz.Raise) bool {
	return c.Close != nil && c.Close.Next != nil && r.ID == h.fold.Info.ID && (r.RunID == "" || r.RunID == h.fold.Info.RunID)
}
