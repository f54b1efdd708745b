package history

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func TestChildren(t *testing.T) {
	t.Parallel()
	begin := func(b *book) int64 {
		return b.on(&types.StartChildWorkflowExecutionInitiatedEventAttributes{Control: b.control(1)})
	}
	runs := func(b *book) int64 {
		begun := begin(b)
		b.on(&types.ChildWorkflowExecutionStartedEventAttributes{
			InitiatedEventId: begun, WorkflowExecution: &types.WorkflowExecution{RunId: aws.String("home of T")},
		})
		return begun
	}
	checkAll(t, map[string]story{
		"about to start": {
			kind: lambdabiz.KindChild, tell: func(b *book) { begin(b) }, status: lambdabiz.StatusScheduled, quiet: true, open: true,
		},
		"started": {
			kind: lambdabiz.KindChild, tell: func(b *book) { runs(b) }, status: lambdabiz.StatusScheduled, quiet: true, open: true,
		},
		"its end is a message": {
			kind: lambdabiz.KindChild, status: lambdabiz.StatusScheduled,
			tell: func(b *book) { b.on(&types.ChildWorkflowExecutionCompletedEventAttributes{InitiatedEventId: runs(b)}) },
		},
		"detached": {
			kind: lambdabiz.KindChild, status: lambdabiz.StatusSucceeded, result: `"T"`, open: true,
			tell: func(b *book) {
				b.on(&types.ChildWorkflowExecutionStartedEventAttributes{
					InitiatedEventId: b.on(&types.StartChildWorkflowExecutionInitiatedEventAttributes{
						Control: aws.String(b.text(&wire.Control{Version: wire.Version, Op: 1, Detached: true})),
					}),
				})
			},
		},
		"there is one": {
			kind: lambdabiz.KindChild, status: lambdabiz.StatusFailed, text: lambdabiz.ErrExists.Error(),
			tell: func(b *book) {
				b.on(&types.StartChildWorkflowExecutionFailedEventAttributes{
					InitiatedEventId: begin(b), Cause: types.StartChildWorkflowExecutionFailedCauseWorkflowAlreadyRunning,
				})
			},
		},
		"never": {
			kind: lambdabiz.KindChild, status: lambdabiz.StatusFailed, text: "start child T: WHY",
			tell: func(b *book) {
				b.on(&types.StartChildWorkflowExecutionFailedEventAttributes{
					Control: b.control(1), WorkflowId: aws.String("T"), Cause: "WHY",
				})
			},
		},
		"not permitted": {
			kind: lambdabiz.KindChild, status: lambdabiz.StatusScheduled, denied: "StartChildWorkflowExecution: OPERATION_NOT_PERMITTED",
			tell: func(b *book) {
				b.on(&types.StartChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: begin(b), Cause: NotPermitted})
			},
		},
		"the same decision came twice": {
			kind: lambdabiz.KindChild, status: lambdabiz.StatusScheduled, open: true, quiet: true,
			tell: func(b *book) {
				runs(b)
				b.on(&types.StartChildWorkflowExecutionFailedEventAttributes{
					Control: b.control(1), Cause: types.StartChildWorkflowExecutionFailedCauseWorkflowAlreadyRunning,
				})
			},
		},
	})
}

func TestHowAChildEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(begun int64) any
		status lambdabiz.Status
		text   string
	}{
		"done": {
			end: func(n int64) any {
				return &types.ChildWorkflowExecutionCompletedEventAttributes{InitiatedEventId: n, Result: aws.String("7")}
			}, status: lambdabiz.StatusSucceeded,
		},
		"failed": {
			end: func(n int64) any {
				return &types.ChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: n, Reason: aws.String("no")}
			}, status: lambdabiz.StatusFailed, text: "no",
		},
		"cancelled": {
			end:    func(n int64) any { return &types.ChildWorkflowExecutionCanceledEventAttributes{InitiatedEventId: n} },
			status: lambdabiz.StatusCancelled, text: "CANCELLED",
		},
		"terminated": {
			end:    func(n int64) any { return &types.ChildWorkflowExecutionTerminatedEventAttributes{InitiatedEventId: n} },
			status: lambdabiz.StatusTerminated, text: "terminated",
		},
		"out of time": {
			end:    func(n int64) any { return &types.ChildWorkflowExecutionTimedOutEventAttributes{InitiatedEventId: n} },
			status: lambdabiz.StatusTimeout, text: "the child's time was over",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t).recorded(recordOf(1, lambdabiz.KindChild))
			end := b.on(c.end(b.on(&types.StartChildWorkflowExecutionInitiatedEventAttributes{Control: b.control(1)})))
			f := b.fold()
			if len(f.Messages) != 1 {
				t.Fatalf("%+v", f.Messages)
			}
			m := f.Messages[0]
			if m.Kind != lambdabiz.MessageChild || m.Number != messageNumber(end) || m.Operation != 1 || m.Status != c.status ||
				(m.Error == nil) != (c.text == "") || m.Error != nil && !strings.Contains(m.Error.Message, c.text) {
				t.Errorf("%+v %+v", m, m.Error)
			}
		})
	}
}

// TestACancelledChildIsToldUntilItKnows: one that has continued as new meanwhile is told again.
func TestACancelledChildIsToldUntilItKnows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cause     types.RequestCancelExternalWorkflowExecutionFailedCause
		told      bool
		denied    bool
		initiated bool
	}{
		"it knows":          {told: true, initiated: true},
		"it has continued":  {cause: "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION", initiated: true},
		"there was no room": {cause: "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED"},
		"not permitted":     {cause: NotPermitted, denied: true},
		"never":             {cause: "WHY", told: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t).recorded(recordOf(1, lambdabiz.KindChild))
			b.on(&types.StartChildWorkflowExecutionInitiatedEventAttributes{Control: b.control(1)})
			b.recorded(recordOf(1, lambdabiz.KindChild, func(r *wire.Record) { r.Status = lambdabiz.StatusCancelled }))
			if !b.fold().Find(1).Unwanted() {
				t.Error("nobody would tell it")
			}
			begun := int64(0)
			if c.initiated {
				begun = b.on(&types.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{Control: b.control(1)})
				if !b.fold().Find(1).Stopping {
					t.Error("it would be told twice")
				}
			}
			if c.cause == "" {
				b.on(&types.ExternalWorkflowExecutionCancelRequestedEventAttributes{InitiatedEventId: begun})
			} else {
				b.on(&types.RequestCancelExternalWorkflowExecutionFailedEventAttributes{
					InitiatedEventId: begun, Control: b.control(1), Cause: c.cause,
				})
			}
			f := b.fold()
			if o := f.Find(1); o.Told != c.told || o.Unwanted() == c.told || !c.told && o.Stopping || len(f.cancels) > 0 {
				t.Errorf("%+v", o)
			}
			if (f.Denied != "") != c.denied {
				t.Errorf("denied is %q", f.Denied)
			}
		})
	}
}
