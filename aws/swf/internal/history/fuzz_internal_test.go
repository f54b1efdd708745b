package history

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// A history with anything in the places that anybody may write is read without a panic, and can be copied.
func FuzzHistory(f *testing.F) {
	f.Add(`{"lambdabiz":1,"runId":"r","input":[1],"keys":["a","a"]}`, "E", `{"lambdabiz":1,"kind":"journal"}`,
		`{"lambdabiz":1,"ops":[{"n":1,"kind":"TIMER"}]}`)
	f.Add("input", "LambdaBiz", `{"lambdabiz":1,"kind":"cancel"}`, `{"lambdabiz":1,"parts":2}`)
	f.Add("", "", `{"lambdabiz":1,"kind":"resume"}`, `{"lambdabiz":1,"blocked":{},"release":true,"wakeAt":"2026-01-01T00:00:00Z"}`)
	f.Fuzz(func(t *testing.T, input, name, signal, decision string) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		h := New("id", "home")
		started := &types.WorkflowExecutionStartedEventAttributes{
			Input: aws.String(input), TaskList: &types.TaskList{Name: aws.String(name)},
			WorkflowType: &types.WorkflowType{Name: aws.String(name)},
		}
		signalled := func(input string) types.HistoryEvent {
			a := &types.WorkflowExecutionSignaledEventAttributes{SignalName: aws.String(name), Input: aws.String(input)}
			return types.HistoryEvent{EventType: types.EventTypeWorkflowExecutionSignaled, WorkflowExecutionSignaledEventAttributes: a}
		}
		scheduled, taken := &types.DecisionTaskScheduledEventAttributes{}, &types.DecisionTaskStartedEventAttributes{}
		completed := &types.DecisionTaskCompletedEventAttributes{ExecutionContext: aws.String(decision), StartedEventId: 4}
		events := []types.HistoryEvent{
			{EventType: types.EventTypeWorkflowExecutionStarted, WorkflowExecutionStartedEventAttributes: started},
			signalled(signal),
			{EventType: types.EventTypeDecisionTaskScheduled, DecisionTaskScheduledEventAttributes: scheduled},
			{EventType: types.EventTypeDecisionTaskStarted, DecisionTaskStartedEventAttributes: taken},
			{EventType: types.EventTypeDecisionTaskCompleted, DecisionTaskCompletedEventAttributes: completed},
			signalled(decision),
		}
		for i := range events {
			events[i].EventId, events[i].EventTimestamp = int64(i+1), aws.Time(at)
		}
		if err := h.ApplyAll(events); err != nil {
			return
		}
		r := h.Record()
		if r.ID != "id" {
			t.Errorf("the id became %q", r.ID)
		}
		for i, m := range r.Messages {
			if i > 0 && m.Number <= r.Messages[i-1].Number && m.Kind == lambdabiz.MessageEvent {
				t.Errorf("message %d has the number %d after %d", i, m.Number, r.Messages[i-1].Number)
			}
		}
		h.Clone()
	})
}
