package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// TestAJournalComesBackWhereverItHadRoom: a reader of the history that follows from a request has what was committed.
func TestAJournalComesBackWhereverItHadRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps, size    int
		markers, ahead bool
	}{
		"the context": {steps: 1, size: 10},
		"markers":     {steps: 10, size: 10_000, markers: true},
		"signals":     {steps: 30, size: 20_000, ahead: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			task := s.task()
			commit := &lambdabiz.Commit{WakeAt: epoch.Add(time.Hour)}
			for n := range int64(c.steps) {
				commit.Operations = append(commit.Operations, with(stepOp(n+1), func(o *lambdabiz.Operation) {
					o.Result = lambdabiz.Payload(`"` + strings.Repeat("ü", c.size) + `"`)
				}))
			}
			a := decided(t, task, commit, plan.Found{})
			if a.IsLong() != c.ahead {
				t.Errorf("it is long: %v", a.IsLong())
			}
			r, err := a.Request()
			if err != nil {
				t.Fatal(err)
			}
			if ahead, markers := len(r.Ahead) > 0, len(r.Decisions) > 1; ahead != c.ahead || markers != c.markers {
				t.Errorf("%d parts go ahead, %d decisions with it", len(r.Ahead), len(r.Decisions))
			}
			if n := wire.Units(r.Context); n > wire.MaxChars {
				t.Errorf("the context has %d characters", n)
			}
			for i, part := range r.Ahead {
				s.signal(wire.ControlSignal, wire.Signal{Kind: wire.SignalPart, Fence: task.Fence, Part: i, Text: part})
			}
			s.add(types.EventTypeDecisionTaskCompleted, func(e *types.HistoryEvent) {
				e.DecisionTaskCompletedEventAttributes = &types.DecisionTaskCompletedEventAttributes{
					StartedEventId: task.Fence, ExecutionContext: &r.Context,
				}
			})
			for _, x := range r.Decisions {
				if m := x.RecordMarkerDecisionAttributes; m != nil {
					s.add(types.EventTypeMarkerRecorded, func(e *types.HistoryEvent) {
						e.MarkerRecordedEventAttributes = &types.MarkerRecordedEventAttributes{MarkerName: m.MarkerName, Details: m.Details}
					})
				}
			}
			if s.fold.Applied != task.Fence || len(s.fold.Ops) != c.steps || !s.fold.Info.WakeAt.Equal(commit.WakeAt) {
				t.Errorf("a reader has %d operations, up to %d", len(s.fold.Ops), s.fold.Applied)
			}
			if got := aws.ToString(r.Decisions[len(r.Decisions)-1].StartTimerDecisionAttributes.TimerId); got != "~wake~2" {
				t.Errorf("the last decision starts %s", got)
			}
		})
	}
}
