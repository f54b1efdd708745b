package plan

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// wakeAt sees to it that the run is claimed at a time; never when that is zero.
func (d *Draft) wakeAt(at time.Time) {
	f := d.task.Fold
	if f.Denied != "" { // it may be the timers that are denied; a resume wakes the run
		return
	}
	switch {
	case f.Wake != nil && !at.IsZero() && f.Wake.At.Equal(at):
		return
	case f.Wake != nil:
		d.add(cancelTimer(f.Wake.ID))
	}
	if !at.IsZero() {
		d.add(wakeTimer(d.task.Fence, at, at.Sub(d.now)))
	}
}

func wakeTimer(fence int64, at time.Time, wait time.Duration) types.Decision {
	text, _ := wire.Marshal(&wire.Control{Version: wire.Version, Wake: at}) // of a time only
	return types.Decision{
		DecisionType: types.DecisionTypeStartTimer,
		StartTimerDecisionAttributes: &types.StartTimerDecisionAttributes{
			TimerId: aws.String(fmt.Sprintf("~wake~%d", fence)), StartToFireTimeout: wire.Seconds(wait), Control: &text,
		},
	}
}

func timerOf(o *history.Op, now time.Time) types.Decision {
	text, _ := wire.Marshal(&wire.Control{Version: wire.Version, Op: o.Number}) // of numbers only
	return types.Decision{
		DecisionType: types.DecisionTypeStartTimer,
		StartTimerDecisionAttributes: &types.StartTimerDecisionAttributes{
			TimerId: aws.String(wire.AttemptID(o.ID, 1)), StartToFireTimeout: wire.Seconds(o.DueAt.Sub(wire.Stamp(now))), Control: &text,
		},
	}
}

func cancelTimer(id string) types.Decision {
	return types.Decision{
		DecisionType:                  types.DecisionTypeCancelTimer,
		CancelTimerDecisionAttributes: &types.CancelTimerDecisionAttributes{TimerId: &id},
	}
}
