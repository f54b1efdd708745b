package history

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func TestTimers(t *testing.T) {
	t.Parallel()
	start := func(b *book) int64 {
		return b.on(&types.TimerStartedEventAttributes{TimerId: aws.String("op1~1"), Control: b.control(1)})
	}
	checkAll(t, map[string]story{
		"started": {
			kind: lambdabiz.KindTimer, tell: func(b *book) { start(b) }, status: lambdabiz.StatusScheduled, quiet: true, open: true,
		},
		"fired": {
			kind: lambdabiz.KindTimer, status: lambdabiz.StatusSucceeded,
			tell: func(b *book) { b.on(&types.TimerFiredEventAttributes{StartedEventId: start(b)}) },
		},
		"cancelled": {
			kind: lambdabiz.KindTimer, status: lambdabiz.StatusScheduled, quiet: true,
			tell: func(b *book) { b.on(&types.TimerCanceledEventAttributes{StartedEventId: start(b)}) },
		},
		"of somebody else": {
			kind: lambdabiz.KindTimer, status: lambdabiz.StatusScheduled, quiet: true,
			tell: func(b *book) { b.on(&types.TimerStartedEventAttributes{TimerId: aws.String("mine")}) },
		},
		"refused": {
			kind: lambdabiz.KindTimer, status: lambdabiz.StatusScheduled,
			tell: func(b *book) {
				b.on(&types.StartTimerFailedEventAttributes{TimerId: aws.String("op1~1"), Cause: "OPEN_TIMERS_LIMIT_EXCEEDED"})
			},
		},
		"not permitted": {
			kind: lambdabiz.KindTimer, status: lambdabiz.StatusScheduled, denied: "StartTimer: OPERATION_NOT_PERMITTED",
			tell: func(b *book) {
				b.on(&types.StartTimerFailedEventAttributes{TimerId: aws.String("op1~1"), Cause: "OPERATION_NOT_PERMITTED"})
			},
		},
		"not to be cancelled": {
			kind: lambdabiz.KindTimer, status: lambdabiz.StatusScheduled, open: true, denied: "CancelTimer: OPERATION_NOT_PERMITTED",
			tell: func(b *book) {
				start(b)
				b.on(&types.CancelTimerFailedEventAttributes{TimerId: aws.String("op1~1"), Cause: "OPERATION_NOT_PERMITTED"})
			},
		},
	})
}

// TestATimerDoesNotEndBeforeItsTime: SWF's stamps are cut to milliseconds.
func TestATimerDoesNotEndBeforeItsTime(t *testing.T) {
	t.Parallel()
	due := foldEpoch.Add(time.Hour)
	b := newBook(t).recorded(recordOf(1, lambdabiz.KindTimer, func(r *wire.Record) { r.Due = due }))
	b.on(&types.TimerFiredEventAttributes{StartedEventId: b.on(&types.TimerStartedEventAttributes{Control: b.control(1)})})
	if o := b.fold().Find(1); !o.EndedAt.Equal(due) {
		t.Errorf("it has ended at %v", o.EndedAt)
	}
}

func TestTheTimerThatWakesTheRun(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	wake := b.on(&types.TimerStartedEventAttributes{
		TimerId: aws.String("~wake~1"), Control: aws.String(b.text(&wire.Control{Version: wire.Version, Wake: foldEpoch})),
	})
	if f := b.fold(); f.Wake == nil || f.Wake.ID != "~wake~1" || !f.Wake.At.Equal(foldEpoch) || f.OpenTimers != 1 || f.WakeDue {
		t.Errorf("%+v", f.Wake)
	}
	b.on(&types.TimerFiredEventAttributes{StartedEventId: wake})
	if f := b.fold(); f.Wake != nil || f.OpenTimers != 0 || !f.WakeDue || f.News != f.Last {
		t.Errorf("%+v, due is %v", f.Wake, f.WakeDue)
	}
	if b.recorded(); b.fold().WakeDue {
		t.Error("the commit has not seen it")
	}
}
