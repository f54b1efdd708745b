package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// end ends the run.
func (d *Draft) end() error {
	c := d.commit.Close
	d.answer.Closes, d.answer.Journal.Closing, d.answer.Journal.Orphans = true, true, c.Orphans
	if c.Next != nil {
		return d.continueAs(c.Next)
	}
	x, err := ending(c)
	if errors.Is(err, lambdabiz.ErrTooLarge) {
		// It would be as long at the next try: what is no text is longer in the history than the limit of a payload says.
		x, err = ending(&lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: lambdabiz.FailureOf(err), Orphans: c.Orphans})
	}
	if err == nil {
		d.add(x)
	}
	return err
}

// ending is the decision that ends a run.
func ending(c *lambdabiz.Close) (types.Decision, error) {
	if c.Status == lambdabiz.StatusSucceeded {
		return success(c)
	}
	text, err := wire.Fit("error", &wire.Outcome{
		Version: wire.Version, Status: c.Status, Error: wire.Shrink(c.Error, wire.MaxPayload), Result: wire.Payload(c.Result),
	})
	if err != nil {
		return types.Decision{}, err
	}
	if c.Status == lambdabiz.StatusCancelled {
		return types.Decision{
			DecisionType: types.DecisionTypeCancelWorkflowExecution,
			CancelWorkflowExecutionDecisionAttributes: &types.CancelWorkflowExecutionDecisionAttributes{Details: &text},
		}, nil
	}
	reason := c.Status.String()
	if c.Error != nil && c.Error.Message != "" {
		reason = wire.Cut(c.Error.Message, wire.MaxReason-3)
	}
	return failure(reason, text), nil
}

func success(c *lambdabiz.Close) (types.Decision, error) {
	a := &types.CompleteWorkflowExecutionDecisionAttributes{}
	switch {
	case c.Result == nil:
	case wire.IsPlain(c.Result):
		a.Result = aws.String(string(c.Result))
	default:
		text, err := wire.Fit("result", &wire.Outcome{Version: wire.Version, Status: c.Status, Result: wire.Payload(c.Result)})
		if err != nil {
			return types.Decision{}, err
		}
		a.Result = &text
	}
	return types.Decision{
		DecisionType: types.DecisionTypeCompleteWorkflowExecution, CompleteWorkflowExecutionDecisionAttributes: a,
	}, nil
}

func failure(reason, details string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeFailWorkflowExecution,
		FailWorkflowExecutionDecisionAttributes: &types.FailWorkflowExecutionDecisionAttributes{
			Reason: &reason, Details: &details,
		},
	}
}

// continueAs ends the run and begins the next one, which gets what is not consumed.
func (d *Draft) continueAs(start *lambdabiz.RunStart) error {
	f := d.task.Fold
	next := d.nextStart(start)
	tags := wire.TagsOf(next)
	if f.Kept != nil && f.Kept.Name != "" { // its type stays
		_, tags = wire.TypeOf(f.Info.ID, f.Kept.Name, next)
	}
	input, err := f.CarryKeys(next)
	if err != nil {
		return err
	}
	a := &types.ContinueAsNewWorkflowExecutionDecisionAttributes{
		Input: &input, TagList: tags, TaskList: &types.TaskList{Name: aws.String(f.List)},
		ChildPolicy: types.ChildPolicyAbandon, ExecutionStartToCloseTimeout: wire.Seconds(wire.MaxRun),
		TaskStartToCloseTimeout: wire.Seconds(d.config.DecisionTimeout), WorkflowTypeVersion: aws.String(wire.TypeVersion),
	}
	if f.Role != "" {
		a.LambdaRole = aws.String(f.Role)
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeContinueAsNewWorkflowExecution, ContinueAsNewWorkflowExecutionDecisionAttributes: a,
	})
	return nil
}

// nextStart is the start of the next run, with what moves on to it.
func (d *Draft) nextStart(start *lambdabiz.RunStart) *wire.Start {
	f, c := d.task.Fold, d.commit
	next := wire.StartOf(start, c.At)
	next.Parent = f.Info.Parent
	if !next.At.After(f.Info.ScheduledAt) { // versions in a store are ordered by it
		next.At = f.Info.ScheduledAt.Add(time.Microsecond)
	}
	next.Previous = f.Info.RunID
	next.Paused, next.PauseReason = f.Info.Paused, f.Info.PauseReason
	for i := range f.Messages {
		switch m := &f.Messages[i]; {
		case m.Kind == lambdabiz.MessageCancel:
			next.Cancel = &wire.Cancel{At: m.ArrivedAt}
			if m.Error != nil {
				next.Cancel.Reason = m.Error.Message
			}
		case m.Kind == lambdabiz.MessageEvent && !slices.Contains(c.Consumed, m.Number):
			next.Events = append(next.Events, wire.KeptEvent{Name: m.Name, Key: m.Key, At: m.ArrivedAt, Data: wire.Payload(m.Payload)})
		}
	}
	for i := range c.Raises {
		r := &c.Raises[i]
		if d.movesOn(r) && (r.Key == "" || !f.KnowsKey(r.Key)) {
			next.Events = append(next.Events, wire.KeptEvent{
				Name: r.Name, Key: r.Key, At: wire.Stamp(d.now), Data: wire.Payload(r.Payload),
			})
		}
	}
	return next
}

// CanClose reports whether SWF would let the run of a decision task end now with a commit that closes it. It would not
// after a signal of the run to itself, which is news to it; it had no room for the last try; or children that were
// cancelled must be asked to end first, for a run that has closed could not ask again. See Later.
func CanClose(t Task, c *lambdabiz.Commit, now time.Time) bool {
	return !t.Sent && !t.Fold.CloseBefore.After(wire.Stamp(now)) && !leavesChildren(t.Fold, c)
}

// IsTooLong reports whether the history of a run has no room for another commit; see TooLong.
func IsTooLong(f *history.Fold) bool { return f.Last >= wire.StopEvents }

// TooLong ends a run whose history is about to reach the limit, where SWF would end it without a word.
func TooLong(f *history.Fold, now time.Time) (*Answer, error) {
	x, err := ending(&lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: &lambdabiz.Failure{Message: fmt.Sprintf(
		"its history has %d events and Amazon SWF ends a run at %d: let the orchestration return ContinueAsNew in time",
		f.Last, wire.MaxEvents)}})
	if err != nil {
		return nil, err
	}
	return &Answer{Closes: true, Journal: wire.Journal{At: wire.Stamp(now), Closing: true}, Decisions: []types.Decision{x}}, nil
}

// Duplicate ends a run that is the same start come twice.
func Duplicate() (*Answer, error) {
	text, err := wire.Marshal(&wire.Outcome{
		Version: wire.Version, Status: lambdabiz.StatusTerminated, Duplicate: true,
		Error: &lambdabiz.Failure{Message: "the start came twice; the run that it has begun has ended"},
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Journal: wire.Journal{Skip: true}, Decisions: []types.Decision{failure("duplicate start", text)}}, nil
}
