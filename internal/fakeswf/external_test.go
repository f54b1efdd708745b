package fakeswf_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

func children(in *swf.PollForDecisionTaskInput) { in.TaskList = list("children") }

// childOf finds the run id of the child that a run started last.
func (w *world) childOf(id, runID string) string {
	w.t.Helper()
	started := last(w.t, w.history(id, runID), types.EventTypeChildWorkflowExecutionStarted)
	return *started.ChildWorkflowExecutionStartedEventAttributes.WorkflowExecution.RunId
}

func TestChildEndings(t *testing.T) {
	t.Parallel()
	terminate := func(w *world, _ string) {
		ok(w.t)(w.client.TerminateWorkflowExecution(w.ctx(), &swf.TerminateWorkflowExecutionInput{
			Domain: &w.domain, WorkflowId: aws.String("kid"),
		}))
	}
	answer := func(d types.Decision) func(*world, string) {
		return func(w *world, _ string) { w.respond(w.poll(children), d) }
	}
	for kind, end := range map[types.EventType]func(w *world, runID string){
		types.EventTypeChildWorkflowExecutionCompleted:  answer(complete("out")),
		types.EventTypeChildWorkflowExecutionFailed:     answer(fail("broken")),
		types.EventTypeChildWorkflowExecutionCanceled:   answer(cancelRun()),
		types.EventTypeChildWorkflowExecutionTerminated: terminate,
		types.EventTypeChildWorkflowExecutionTimedOut:   func(w *world, _ string) { w.pass(30 * time.Second) },
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := setup(t, fakeswf.Config{})
			id := w.start("r")
			w.decide(childRun("kid", func(a *types.StartChildWorkflowExecutionDecisionAttributes) {
				a.ExecutionStartToCloseTimeout, a.TagList, a.LambdaRole = aws.String("30"), []string{"x"}, aws.String("role")
			}))
			w.decide()
			kid := w.childOf("r", id)
			begin := w.history("kid", kid)[0].WorkflowExecutionStartedEventAttributes
			wantEqual(t, "parent", *begin.ParentWorkflowExecution.RunId, id)
			wantEqual(t, "initiated", begin.ParentInitiatedEventId, 5)
			wantEqual(t, "role", *begin.LambdaRole, "role")
			wantEqual(t, "parent", *w.describe("kid", kid).ExecutionInfo.Parent.RunId, id)
			wantEqual(t, "open", w.describe("r", id).OpenCounts.OpenChildWorkflowExecutions, 1)
			end(w, kid)
			last(t, w.poll().Events, kind)
			w.wantKinds("r", id, "WorkflowExecutionStarted", "StartChildWorkflowExecutionInitiated", "ChildWorkflowExecutionStarted",
				string(kind))
			wantEqual(t, "open", w.describe("r", id).OpenCounts.OpenChildWorkflowExecutions, 0)
		})
	}
}

func TestChildThatContinuesAsNew(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	id := w.start("r")
	w.decide(childRun("kid"))
	w.decide()
	w.respond(w.poll(children), types.Decision{
		DecisionType: types.DecisionTypeContinueAsNewWorkflowExecution,
		ContinueAsNewWorkflowExecutionDecisionAttributes: &types.ContinueAsNewWorkflowExecutionDecisionAttributes{
			TaskList: list("children"),
		},
	})
	w.noDecision()
	task := w.poll(children)
	w.respond(task, complete("out"))
	got := last(t, w.poll().Events, types.EventTypeChildWorkflowExecutionCompleted).ChildWorkflowExecutionCompletedEventAttributes
	wantEqual(t, "run", *got.WorkflowExecution.RunId, *task.WorkflowExecution.RunId)
	wantEqual(t, "result", *got.Result, "out")
	if *got.WorkflowExecution.RunId == w.childOf("r", id) {
		t.Fatal("the continued run has the run id of the first")
	}
}

func TestStartChildFails(t *testing.T) {
	t.Parallel()
	type attributes = types.StartChildWorkflowExecutionDecisionAttributes
	w := setup(t, fakeswf.Config{Limits: fakeswf.Limits{OpenChildren: 1}})
	ok(t)(w.client.RegisterWorkflowType(w.ctx(), &swf.RegisterWorkflowTypeInput{
		Domain: &w.domain, Name: aws.String("bare"), Version: aws.String("1"),
	}))
	id := w.start("r")
	w.start("busy")
	bare := func(a *attributes) { a.WorkflowType.Name, a.TaskList = aws.String("bare"), nil }
	sixty := aws.String("60")
	w.decide(
		childRun("busy"),
		childRun("none", func(a *attributes) { a.WorkflowType.Name = aws.String("none") }),
		childRun("a", bare),
		childRun("b", bare, func(a *attributes) { a.ExecutionStartToCloseTimeout = sixty }),
		childRun("c", bare, func(a *attributes) { a.ExecutionStartToCloseTimeout, a.TaskList = sixty, list("l") }),
		childRun("d", bare, func(a *attributes) {
			a.ExecutionStartToCloseTimeout, a.TaskList, a.TaskStartToCloseTimeout = sixty, list("l"), sixty
		}),
		childRun("one"), childRun("two"),
	)
	var causes []types.StartChildWorkflowExecutionFailedCause
	for _, e := range w.history("r", id) {
		if a := e.StartChildWorkflowExecutionFailedEventAttributes; a != nil {
			causes = append(causes, a.Cause)
			wantEqual(t, "has an initiated event", a.InitiatedEventId > 0,
				a.Cause == types.StartChildWorkflowExecutionFailedCauseWorkflowAlreadyRunning)
		}
	}
	wantList(t, causes,
		types.StartChildWorkflowExecutionFailedCauseWorkflowAlreadyRunning,
		types.StartChildWorkflowExecutionFailedCauseWorkflowTypeDoesNotExist,
		types.StartChildWorkflowExecutionFailedCauseDefaultExecutionStartToCloseTimeoutUndefined,
		types.StartChildWorkflowExecutionFailedCauseDefaultTaskListUndefined,
		types.StartChildWorkflowExecutionFailedCauseDefaultTaskStartToCloseTimeoutUndefined,
		types.StartChildWorkflowExecutionFailedCauseDefaultChildPolicyUndefined,
		types.StartChildWorkflowExecutionFailedCauseOpenChildrenLimitExceeded)
}

func TestChildPolicy(t *testing.T) {
	t.Parallel()
	for policy, want := range map[types.ChildPolicy][]string{
		types.ChildPolicyAbandon:       {"WorkflowExecutionStarted"},
		types.ChildPolicyRequestCancel: {"WorkflowExecutionStarted", "WorkflowExecutionCancelRequested"},
		types.ChildPolicyTerminate:     {"WorkflowExecutionStarted", "WorkflowExecutionTerminated"},
	} {
		endings := map[string]func(*world){
			"terminate": func(w *world) {
				ok(w.t)(w.client.TerminateWorkflowExecution(w.ctx(), &swf.TerminateWorkflowExecutionInput{
					Domain: &w.domain, WorkflowId: aws.String("r"), ChildPolicy: policy,
				}))
			},
			"complete": func(w *world) { w.decide(complete("done")) },
			"time out": func(w *world) { w.pass(time.Minute) },
		}
		for name, end := range endings {
			t.Run(string(policy)+" "+name, func(t *testing.T) {
				t.Parallel()
				w := setup(t, fakeswf.Config{})
				id := w.start("r", func(in *swf.StartWorkflowExecutionInput) {
					in.ExecutionStartToCloseTimeout, in.ChildPolicy = aws.String("60"), policy
				})
				w.decide(childRun("kid"))
				w.decide()
				kid := w.childOf("r", id)
				w.signal("r", "s", nil)
				end(w)
				if name == "complete" { // only termination and time-out treat the children
					w.pass(2 * time.Minute) // past the deadline of the closed run
					w.wantKinds("kid", kid, "WorkflowExecutionStarted")
					return
				}
				w.wantKinds("kid", kid, want...)
			})
		}
	}
}

func TestSignalExternal(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	other := w.start("other", func(in *swf.StartWorkflowExecutionInput) { in.TaskList = list("children") })
	id := w.start("r")
	w.decide(signalExternal("other"), signalExternal("nobody"), signalExternal("r"))
	events := w.wantKinds("r", id, "WorkflowExecutionStarted",
		"SignalExternalWorkflowExecutionInitiated", "ExternalWorkflowExecutionSignaled",
		"SignalExternalWorkflowExecutionInitiated", "SignalExternalWorkflowExecutionFailed",
		"SignalExternalWorkflowExecutionInitiated", "WorkflowExecutionSignaled", "ExternalWorkflowExecutionSignaled")
	failed := last(t, events, types.EventTypeSignalExternalWorkflowExecutionFailed).SignalExternalWorkflowExecutionFailedEventAttributes
	wantEqual(t, "cause", failed.Cause, types.SignalExternalWorkflowExecutionFailedCauseUnknownExternalWorkflowExecution)
	wantEqual(t, "initiated", failed.InitiatedEventId, 7)
	got := last(t, w.history("other", other), types.EventTypeWorkflowExecutionSignaled).WorkflowExecutionSignaledEventAttributes
	wantEqual(t, "from", *got.ExternalWorkflowExecution.RunId, id)
	wantEqual(t, "initiated", got.ExternalInitiatedEventId, 5)
	wantEqual(t, "input", *got.Input, "there")
	w.poll()
}

func TestCancelExternal(t *testing.T) {
	t.Parallel()
	w := setup(t, fakeswf.Config{})
	other := w.start("other", func(in *swf.StartWorkflowExecutionInput) { in.TaskList = list("children") })
	id := w.start("r")
	w.decide(cancelExternal("other"), cancelExternal("nobody"))
	w.wantKinds("r", id, "WorkflowExecutionStarted",
		"RequestCancelExternalWorkflowExecutionInitiated", "ExternalWorkflowExecutionCancelRequested",
		"RequestCancelExternalWorkflowExecutionInitiated", "RequestCancelExternalWorkflowExecutionFailed")
	got := last(t, w.history("other", other), types.EventTypeWorkflowExecutionCancelRequested)
	wantEqual(t, "from", *got.WorkflowExecutionCancelRequestedEventAttributes.ExternalWorkflowExecution.RunId, id)
	wantEqual(t, "cancel requested", w.describe("other", other).ExecutionInfo.CancelRequested, true)
	w.poll()
}
