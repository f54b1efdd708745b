package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// epoch is when all runs start, and all commits are made.
var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

var config = plan.Config{
	TaskList: "workers", DecisionTimeout: time.Minute, LambdaTimeout: 15 * time.Minute, BeatTimeout: time.Minute, Store: true,
}

// story writes a history and folds it.
type story struct {
	t    *testing.T
	fold *history.Fold
}

func begin(t *testing.T, set ...func(s *wire.Start)) *story {
	t.Helper()
	s := &story{t, history.New("id", "home")}
	start := wire.Start{Version: wire.Version, RunID: "run", At: epoch}
	for _, f := range set {
		f(&start)
	}
	s.add(types.EventTypeWorkflowExecutionStarted, func(e *types.HistoryEvent) {
		e.WorkflowExecutionStartedEventAttributes = &types.WorkflowExecutionStartedEventAttributes{
			WorkflowType: &types.WorkflowType{Name: aws.String("D")}, TaskList: &types.TaskList{Name: aws.String("list")},
			Input: s.text(&start), LambdaRole: aws.String("role"),
		}
	})
	return s
}

func (s *story) text(v any) *string {
	s.t.Helper()
	text, err := wire.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return &text
}

func (s *story) add(kind types.EventType, set func(e *types.HistoryEvent)) int64 {
	e := types.HistoryEvent{EventId: s.fold.Last + 1, EventType: kind, EventTimestamp: aws.Time(epoch)}
	set(&e)
	s.fold.Apply(&e)
	return e.EventId
}

// recorded is a decision task that was answered with operations.
func (s *story) recorded(ops ...wire.Record) *story {
	fence := s.add(types.EventTypeDecisionTaskStarted, func(*types.HistoryEvent) {})
	s.add(types.EventTypeDecisionTaskCompleted, func(e *types.HistoryEvent) {
		e.DecisionTaskCompletedEventAttributes = &types.DecisionTaskCompletedEventAttributes{
			StartedEventId: fence, ExecutionContext: s.text(&wire.Journal{Version: wire.Version, Ops: ops}),
		}
	})
	return s
}

// timer is a timer that SWF has started: of an operation, or the one that wakes the run.
func (s *story) timer(id string, c wire.Control) *story {
	c.Version = wire.Version
	s.add(types.EventTypeTimerStarted, func(e *types.HistoryEvent) {
		e.TimerStartedEventAttributes = &types.TimerStartedEventAttributes{TimerId: &id, Control: s.text(&c)}
	})
	return s
}

// activity is an attempt that SWF has scheduled.
func (s *story) activity(id string, op int64) *story {
	s.add(types.EventTypeActivityTaskScheduled, func(e *types.HistoryEvent) {
		e.ActivityTaskScheduledEventAttributes = &types.ActivityTaskScheduledEventAttributes{
			ActivityId: &id, Control: s.text(&wire.Control{Version: wire.Version, Op: op}),
		}
	})
	return s
}

// child is one that SWF has started.
func (s *story) child(op int64, home string) *story {
	begun := s.add(types.EventTypeStartChildWorkflowExecutionInitiated, func(e *types.HistoryEvent) {
		e.StartChildWorkflowExecutionInitiatedEventAttributes = &types.StartChildWorkflowExecutionInitiatedEventAttributes{
			Control: s.text(&wire.Control{Version: wire.Version, Op: op}),
		}
	})
	if home != "" {
		s.add(types.EventTypeChildWorkflowExecutionStarted, func(e *types.HistoryEvent) {
			e.ChildWorkflowExecutionStartedEventAttributes = &types.ChildWorkflowExecutionStartedEventAttributes{
				InitiatedEventId: begun, WorkflowExecution: &types.WorkflowExecution{RunId: &home},
			}
		})
	}
	return s
}

// signal is one that has come; it returns its message's number.
func (s *story) signal(name string, x wire.Signal) int64 {
	x.Version = wire.Version
	event := s.add(types.EventTypeWorkflowExecutionSignaled, func(e *types.HistoryEvent) {
		e.WorkflowExecutionSignaledEventAttributes = &types.WorkflowExecutionSignaledEventAttributes{
			SignalName: &name, Input: s.text(&x),
		}
	})
	return event << 16
}

// task is the decision task that comes next.
func (s *story) task() plan.Task {
	fence := s.add(types.EventTypeDecisionTaskStarted, func(*types.HistoryEvent) {})
	return plan.Task{Fold: s.fold, Fence: fence}
}

// describe is a fold as a text.
func describe(t *testing.T, f *history.Fold) string {
	t.Helper()
	rec := f.Record()
	text, err := json.Marshal(&rec)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, o := range f.Ops {
		fmt.Fprintf(&all, "%+v\n", *o)
	}
	return fmt.Sprint(string(text), all.String(), f.Applied, f.News, f.OpenWork, f.OpenTimers, f.OpenChildren, f.Wake, f.Changed)
}

// answer completes a draft at the epoch, and fails the test if that changes the fold that it was made of.
func answer(t *testing.T, task plan.Task, draft func() *plan.Draft, found plan.Found) *plan.Answer {
	t.Helper()
	before := describe(t, task.Fold)
	a, err := draft().Answer(found, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if after := describe(t, task.Fold); after != before {
		t.Errorf("the decision task's fold was\n%s\nand is\n%s", before, after)
	}
	return a
}

// decided is answer for a commit.
func decided(t *testing.T, task plan.Task, c *lambdabiz.Commit, found plan.Found) *plan.Answer {
	t.Helper()
	c.At = epoch
	return answer(t, task, func() *plan.Draft { return plan.Commit(config, task, c) }, found)
}

// short is each decision in a few words.
func short(decisions []types.Decision) []string {
	var all []string
	for i := range decisions {
		all = append(all, shortOf(&decisions[i]))
	}
	return all
}

func shortOf(x *types.Decision) string {
	switch {
	case x.StartTimerDecisionAttributes != nil:
		a := x.StartTimerDecisionAttributes
		return fmt.Sprintf("timer %s in %s s", *a.TimerId, *a.StartToFireTimeout)
	case x.CancelTimerDecisionAttributes != nil:
		return "no timer " + *x.CancelTimerDecisionAttributes.TimerId
	case x.ScheduleActivityTaskDecisionAttributes != nil:
		a := x.ScheduleActivityTaskDecisionAttributes
		return fmt.Sprintf("activity %s %s on %s", *a.ActivityId, *a.ActivityType.Name, *a.TaskList.Name)
	case x.RequestCancelActivityTaskDecisionAttributes != nil:
		return "no activity " + *x.RequestCancelActivityTaskDecisionAttributes.ActivityId
	case x.ScheduleLambdaFunctionDecisionAttributes != nil:
		a := x.ScheduleLambdaFunctionDecisionAttributes
		return fmt.Sprintf("function %s %s(%s) within %s s", *a.Id, *a.Name, *a.Input, *a.StartToCloseTimeout)
	case x.StartChildWorkflowExecutionDecisionAttributes != nil:
		a := x.StartChildWorkflowExecutionDecisionAttributes
		return fmt.Sprintf("child %s %s on %s, %s", *a.WorkflowId, *a.WorkflowType.Name, *a.TaskList.Name, a.TagList[0])
	case x.RequestCancelExternalWorkflowExecutionDecisionAttributes != nil:
		a := x.RequestCancelExternalWorkflowExecutionDecisionAttributes
		return fmt.Sprintf("no child %s %s", *a.WorkflowId, *a.RunId)
	case x.SignalExternalWorkflowExecutionDecisionAttributes != nil:
		a := x.SignalExternalWorkflowExecutionDecisionAttributes
		return fmt.Sprintf("event %s to %s", *a.SignalName, *a.WorkflowId)
	case x.CompleteWorkflowExecutionDecisionAttributes != nil:
		return "complete " + aws.ToString(x.CompleteWorkflowExecutionDecisionAttributes.Result)
	case x.FailWorkflowExecutionDecisionAttributes != nil:
		return "fail " + *x.FailWorkflowExecutionDecisionAttributes.Reason
	case x.CancelWorkflowExecutionDecisionAttributes != nil:
		return "cancel"
	case x.ContinueAsNewWorkflowExecutionDecisionAttributes != nil:
		return "continue " + *x.ContinueAsNewWorkflowExecutionDecisionAttributes.Input
	default:
		return string(x.DecisionType)
	}
}

func wantDecisions(t *testing.T, a *plan.Answer, want ...string) {
	t.Helper()
	if got := short(a.Decisions); !slices.Equal(got, want) {
		t.Errorf("the decisions are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantStatus checks the status of an operation in the journal and after it, and the text of its error.
func wantStatus(t *testing.T, a *plan.Answer, number int64, want lambdabiz.Status, text string) {
	t.Helper()
	i := slices.IndexFunc(a.Journal.Ops, func(r wire.Record) bool { return r.Number == number })
	if i < 0 {
		t.Errorf("operation %d is not in the journal", number)
		return
	}
	r, o := &a.Journal.Ops[i], a.After.Find(number)
	if r.Status != want || o.Status != want {
		t.Errorf("operation %d is %s in the journal and %s after it, want %s", number, r.Status, o.Status, want)
	}
	if text != "" && (r.Error == nil || !strings.Contains(r.Error.Message, text)) {
		t.Errorf("operation %d has the error %v, want %q", number, r.Error, text)
	}
}
