package history

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func TestHowARunBegins(t *testing.T) {
	t.Parallel()
	kept := []wire.KeptEvent{{Name: "E", Key: "k", At: foldEpoch, Data: wire.Payload(`1`)}, {Name: "E", Key: "k", At: foldEpoch}}
	for name, c := range map[string]struct {
		input string
		check func(f *Fold) bool
	}{
		"by somebody else": {input: "mine", check: func(f *Fold) bool {
			return string(f.Info.Input) == "mine" && f.Info.RunID == "home" && f.Kept == nil && f.Info.Name == "a:b"
		}},
		"with what was kept for it": {
			input: (&book{t: t}).text(&wire.Start{Version: 1, RunID: "r", At: foldEpoch, Events: kept}),
			check: func(f *Fold) bool {
				return len(f.Messages) == 1 && f.Messages[0].Number == messageNumber(1)+1 && f.KnowsKey("k") && f.Info.RunID == "r"
			},
		},
		"as the next of a run that was cancelled and paused": {
			input: (&book{t: t}).text(&wire.Start{
				Version: 1, RunID: "r", Previous: "p", Paused: true, PauseReason: "why", Cancel: &wire.Cancel{Reason: "no", At: foldEpoch},
			}),
			check: func(f *Fold) bool {
				return f.Info.Previous == "p" && f.Info.Paused && f.Info.PauseReason == "why" && f.Info.CancelRequested &&
					len(f.Messages) == 1 && f.Messages[0].Error.Message == "no"
			},
		},
		"by hand": {
			input: (&book{t: t}).text(&wire.Start{Version: 1, RunID: "r", Hand: true, Name: "N"}),
			check: func(f *Fold) bool { return f.Info.Mode == lambdabiz.ModeHand && f.Info.Name == "N" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &book{t: t}
			b.on(&types.WorkflowExecutionStartedEventAttributes{
				Input: &c.input, WorkflowType: &types.WorkflowType{Name: aws.String("a%3Ab")},
				TaskList: &types.TaskList{Name: aws.String("l%3Ai")}, LambdaRole: aws.String("role"),
			})
			f := b.fold()
			if !c.check(f) || f.Info.Queue != "l:i" || f.List != "l%3Ai" || f.Role != "role" || f.News != 1 ||
				f.Info.Status != lambdabiz.StatusScheduled {
				t.Errorf("%+v, %+v", f.Info, f.Messages)
			}
		})
	}
}

func TestHowARunEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    any
		status lambdabiz.Status
		result string
		text   string
		next   string
	}{
		"done": {
			end:    &types.WorkflowExecutionCompletedEventAttributes{Result: aws.String(`"r"`)},
			status: lambdabiz.StatusSucceeded, result: `"r"`,
		},
		"done, with what is no text": {
			end: &types.WorkflowExecutionCompletedEventAttributes{
				Result: aws.String(`{"lambdabiz":1,"status":"SUCCEEDED","result":"/w=="}`),
			}, status: lambdabiz.StatusSucceeded, result: "\xff",
		},
		"failed": {
			end: &types.WorkflowExecutionFailedEventAttributes{
				Details: aws.String(`{"lambdabiz":1,"status":"TIMEOUT","error":{"message":"late"},"result":[1]}`),
			}, status: lambdabiz.StatusTimeout, result: "1", text: "late",
		},
		"cancelled":   {end: &types.WorkflowExecutionCanceledEventAttributes{}, status: lambdabiz.StatusCancelled, text: "CANCELLED"},
		"out of time": {end: &types.WorkflowExecutionTimedOutEventAttributes{}, status: lambdabiz.StatusTimeout, text: "its time was over"},
		"terminated": {
			end: &types.WorkflowExecutionTerminatedEventAttributes{Details: aws.String("enough")}, status: lambdabiz.StatusTerminated,
			text: "enough",
		},
		"too long": {
			end: &types.WorkflowExecutionTerminatedEventAttributes{
				Cause: types.WorkflowExecutionTerminatedCauseEventLimitExceeded,
			}, status: lambdabiz.StatusTerminated, text: "its history has reached 25000 events",
		},
		"goes on": {
			end: &types.WorkflowExecutionContinuedAsNewEventAttributes{
				NewExecutionRunId: aws.String("home2"), Input: aws.String(`{"lambdabiz":1,"runId":"next","input":null}`),
			}, status: lambdabiz.StatusSucceeded, next: "next",
		},
		"goes on by somebody else": {
			end:    &types.WorkflowExecutionContinuedAsNewEventAttributes{NewExecutionRunId: aws.String("home2")},
			status: lambdabiz.StatusSucceeded, next: "home2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			b.signal("E", &wire.Signal{})
			b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalPause})
			b.completed(b.started(), wire.Journal{WakeAt: foldEpoch, Blocked: &lambdabiz.Blocked{}})
			b.on(c.end)
			f := b.fold()
			i := &f.Info
			if !f.Closed || i.Status != c.status || string(i.Result) != c.result || i.ContinuedAs != c.next || i.EndedAt.IsZero() {
				t.Errorf("%+v", i)
			}
			if (i.Error == nil) != (c.text == "") || i.Error != nil && !strings.Contains(i.Error.Message, c.text) {
				t.Errorf("its error is %+v", i.Error)
			}
			if i.Paused || i.Blocked != nil || !i.WakeAt.IsZero() {
				t.Errorf("it has ended, and is paused, blocked or due: %+v", i)
			}
			if moved := c.next != ""; moved != (len(f.Messages) == 0) || moved != (f.NextHome == "home2") {
				t.Errorf("%d messages, next is %q", len(f.Messages), f.NextHome)
			}
		})
	}
}

// TestWhySWFDoesNotEndARun: what has come meanwhile is no fault, a rate passes, and the rest is for a person.
func TestWhySWFDoesNotEndARun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal any
		denied  string
		wait    time.Duration
	}{
		"news": {refusal: &types.CompleteWorkflowExecutionFailedEventAttributes{Cause: "UNHANDLED_DECISION"}},
		"not permitted": {
			refusal: &types.FailWorkflowExecutionFailedEventAttributes{Cause: NotPermitted},
			denied:  "FailWorkflowExecution: OPERATION_NOT_PERMITTED",
		},
		"nor that": {
			refusal: &types.CancelWorkflowExecutionFailedEventAttributes{Cause: NotPermitted},
			denied:  "CancelWorkflowExecution: OPERATION_NOT_PERMITTED",
		},
		"a rate": {
			refusal: &types.ContinueAsNewWorkflowExecutionFailedEventAttributes{
				Cause: types.ContinueAsNewWorkflowExecutionFailedCauseContinueAsNewWorkflowExecutionRateExceeded,
			}, wait: time.Second,
		},
		"a role": {
			refusal: &types.ContinueAsNewWorkflowExecutionFailedEventAttributes{Cause: "WORKFLOW_TYPE_DEPRECATED"},
			denied:  "ContinueAsNewWorkflowExecution: WORKFLOW_TYPE_DEPRECATED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t).recorded()
			event := b.on(c.refusal)
			f := b.fold()
			wait := time.Duration(0)
			if !f.CloseBefore.IsZero() {
				wait = f.CloseBefore.Sub(aws.ToTime(b.events[event-1].EventTimestamp))
			}
			if f.Denied != c.denied || wait != c.wait || f.News != event || f.Closed {
				t.Errorf("denied is %q, it waits for %v, news are %d", f.Denied, wait, f.News)
			}
			b.signal(wire.ControlSignal, &wire.Signal{Kind: wire.SignalResume})
			if f := b.fold(); f.Denied != "" {
				t.Errorf("a resume leaves it denied: %q", f.Denied)
			}
		})
	}
}
