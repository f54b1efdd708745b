package swf

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

func FuzzID(f *testing.F) {
	for _, seed := range []string{"", "arn", "a:b|c/d%", " x ", "\u0085", "%61rn", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !utf8.ValidString(id) {
			return // refused before
		}
		encoded := encodeID(id)
		if strings.ContainsAny(encoded, ":/|\x00\n") || encoded == "arn" || strings.TrimSpace(encoded) != encoded {
			t.Errorf("%q becomes %q, which SWF refuses", id, encoded)
		}
		if got := decodeID(encoded); got != id {
			t.Errorf("%q becomes %q and comes back as %q", id, encoded, got)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add(`{"lambdabiz":1,"ops":[{"n":1,"id":"a","kind":"TASK","status":"SUCCEEDED","result":[1]}]}`, []byte("1"))
	f.Add(`{"lambdabiz":1,"runId":"r","input":"bnVsbA==","events":[{"name":"E","data":null}],"cancel":{}}`, []byte("\xff"))
	f.Add(`{"lambdabiz":2}`, []byte{})
	f.Add(`{"lambdabiz":1,"kind":"journal","fence":-1,"journal":{"consumed":[9],"parts":-3}}`, []byte(`{"lambdabiz":1}`))
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		if j := (&journal{}); open(text, j) == nil {
			again, err := marshal(j)
			if second := (&journal{}); err != nil || open(again, second) != nil || len(second.Ops) != len(j.Ops) {
				t.Errorf("the journal %q became %q, %v", text, again, err)
			}
		}
		p := payload(data)
		stored, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back payload
		if err := back.UnmarshalJSON(stored); err != nil || !bytes.Equal(back, p) {
			t.Errorf("%q became %q, and %q, %v", data, stored, back, err)
		}
		_ = back.UnmarshalJSON([]byte(text)) // an error, or not: no panic
	})
}

// A history with anything in the places that anybody may write is read without a panic, and can be copied.
func FuzzHistory(f *testing.F) {
	f.Add(`{"lambdabiz":1,"runId":"r","input":[1],"keys":["a","a"]}`, "E", `{"lambdabiz":1,"kind":"journal"}`,
		`{"lambdabiz":1,"ops":[{"n":1,"kind":"TIMER"}]}`)
	f.Add("input", "LambdaBiz", `{"lambdabiz":1,"kind":"cancel"}`, `{"lambdabiz":1,"parts":2}`)
	f.Add("", "", `{"lambdabiz":1,"kind":"resume"}`, `{"lambdabiz":1,"blocked":{},"release":true,"wakeAt":"2026-01-01T00:00:00Z"}`)
	f.Fuzz(func(t *testing.T, input, name, signal, decision string) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		h := newFold()
		h.home, h.info.ID = "home", "id"
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
		if err := h.applyAll(events); err != nil {
			return
		}
		r := h.record()
		if r.ID != "id" {
			t.Errorf("the id became %q", r.ID)
		}
		for i, m := range r.Messages {
			if i > 0 && m.Number <= r.Messages[i-1].Number && m.Kind == lambdabiz.MessageEvent {
				t.Errorf("message %d has the number %d after %d", i, m.Number, r.Messages[i-1].Number)
			}
		}
		h.clone()
	})
}
