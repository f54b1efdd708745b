package history

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func (b *book) activity(op int64) int64 {
	return b.on(&types.ActivityTaskScheduledEventAttributes{ActivityId: aws.String("op1~1"), Control: b.control(op)})
}

func (b *book) function(op int64) int64 {
	return b.on(&types.LambdaFunctionScheduledEventAttributes{Id: aws.String("op1~1"), Control: b.control(op)})
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	refused := func(cause types.ScheduleActivityTaskFailedCause) func(b *book) {
		return func(b *book) {
			b.on(&types.ScheduleActivityTaskFailedEventAttributes{
				ActivityId: aws.String("op1~1"), ActivityType: &types.ActivityType{Name: aws.String("N")}, Cause: cause,
			})
		}
	}
	text, beat := `"r"`, `{"lambdabiz":1,"status":"STARTED","result":["half"]}`
	failed := `{"lambdabiz":1,"status":"FAILED","error":{"message":"no"},"final":true,"retryAfter":5}`
	checkAll(t, map[string]story{
		"scheduled": {
			kind: lambdabiz.KindTask, tell: func(b *book) { b.activity(1) }, status: lambdabiz.StatusScheduled, quiet: true, open: true,
		},
		"of somebody else": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusScheduled, quiet: true,
			tell: func(b *book) { b.on(&types.ActivityTaskScheduledEventAttributes{Control: aws.String("mine")}) },
		},
		"of no operation": {
			kind: lambdabiz.KindTask, tell: func(b *book) { b.activity(9) }, status: lambdabiz.StatusScheduled, quiet: true,
		},
		"begun": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusStarted, quiet: true, open: true,
			tell: func(b *book) { b.on(&types.ActivityTaskStartedEventAttributes{ScheduledEventId: b.activity(1)}) },
		},
		"done": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusSucceeded, result: text,
			tell: func(b *book) {
				b.on(&types.ActivityTaskCompletedEventAttributes{ScheduledEventId: b.activity(1), Result: &text})
			},
		},
		"failed": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "no", tried: &lambdabiz.Tried{Final: true, RetryAfter: 5},
			tell: func(b *book) {
				b.on(&types.ActivityTaskFailedEventAttributes{ScheduledEventId: b.activity(1), Details: &failed})
			},
		},
		"failed by somebody else": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "why more", tried: &lambdabiz.Tried{},
			tell: func(b *book) {
				b.on(&types.ActivityTaskFailedEventAttributes{
					ScheduledEventId: b.activity(1), Reason: aws.String("why"), Details: aws.String("more"),
				})
			},
		},
		"cancelled": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusCancelled, text: "CANCELLED without a reason", tried: &lambdabiz.Tried{},
			tell: func(b *book) { b.on(&types.ActivityTaskCanceledEventAttributes{ScheduledEventId: b.activity(1)}) },
		},
		"out of time": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusTimeout, text: "the attempt's time was over", tried: &lambdabiz.Tried{},
			tell: func(b *book) {
				b.on(&types.ActivityTaskTimedOutEventAttributes{
					ScheduledEventId: b.activity(1), TimeoutType: types.ActivityTaskTimeoutTypeStartToClose, Details: &beat,
				})
			},
		},
		"an earlier one's end": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusScheduled, open: true, quiet: true,
			tell: func(b *book) {
				b.activity(1)
				b.on(&types.ActivityTaskCompletedEventAttributes{ScheduledEventId: 1})
			},
		},
		"not permitted": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusScheduled, denied: "ScheduleActivityTask: OPERATION_NOT_PERMITTED",
			tell: refused("OPERATION_NOT_PERMITTED"),
		},
		"no room": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "OPEN_ACTIVITIES_LIMIT_EXCEEDED",
			tried: &lambdabiz.Tried{NotBegun: true},
			tell:  refused("OPEN_ACTIVITIES_LIMIT_EXCEEDED"),
		},
		"never": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "activity N: ACTIVITY_TYPE_DEPRECATED",
			tried: &lambdabiz.Tried{Final: true},
			tell:  refused("ACTIVITY_TYPE_DEPRECATED"),
		},
		"a function is done": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusSucceeded, result: "null",
			tell: func(b *book) { b.on(&types.LambdaFunctionCompletedEventAttributes{ScheduledEventId: b.function(1)}) },
		},
		"a function has failed": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "Oops: no", tried: &lambdabiz.Tried{},
			tell: func(b *book) {
				b.on(&types.LambdaFunctionFailedEventAttributes{
					ScheduledEventId: b.function(1), Details: aws.String(`{"errorMessage":"no","errorType":"Oops"}`),
				})
			},
		},
		"a function is out of time": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusTimeout, text: "the Lambda function's time was over",
			tried: &lambdabiz.Tried{},
			tell:  func(b *book) { b.on(&types.LambdaFunctionTimedOutEventAttributes{ScheduledEventId: b.function(1)}) },
		},
		"a function cannot start": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "check swf.Config.LambdaRole",
			tried: &lambdabiz.Tried{Final: true},
			tell: func(b *book) {
				b.on(&types.StartLambdaFunctionFailedEventAttributes{ScheduledEventId: b.function(1), Cause: "ASSUME_ROLE_FAILED"})
			},
		},
		"a function is refused": {
			kind: lambdabiz.KindTask, status: lambdabiz.StatusFailed, text: "Lambda function N: ID_ALREADY_IN_USE",
			tried: &lambdabiz.Tried{Final: true},
			tell: func(b *book) {
				b.on(&types.ScheduleLambdaFunctionFailedEventAttributes{
					Id: aws.String("op1~1"), Name: aws.String("N"), Cause: "ID_ALREADY_IN_USE",
				})
			},
		},
	})
}

// TestTheDeathOfAWorkerIsNotCharged, unless many have died with the attempt; the details of the last heartbeat stay.
func TestTheDeathOfAWorkerIsNotCharged(t *testing.T) {
	t.Parallel()
	b := newBook(t).recorded(recordOf(1, lambdabiz.KindTask))
	for death := 1; death <= maxDeaths; death++ {
		b.on(&types.ActivityTaskTimedOutEventAttributes{
			ScheduledEventId: b.activity(1), TimeoutType: types.ActivityTaskTimeoutTypeHeartbeat,
			Details: aws.String(fmt.Sprintf(`{"lambdabiz":1,"status":"STARTED","result":[%d]}`, death)),
		})
		o := b.fold().Find(1)
		if charged := !o.Tried.NotBegun; charged != (death == maxDeaths) || string(o.Details) != fmt.Sprint(death) {
			t.Errorf("death %d: it is charged: %v, its details are %s", death, charged, o.Details)
		}
		b.recorded(recordOf(1, lambdabiz.KindTask))
	}
}

// TestWhatEndsTooLateChangesNothing, but there is room again.
func TestWhatEndsTooLateChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBook(t).recorded(recordOf(1, lambdabiz.KindTask))
	begun := b.activity(1)
	b.recorded(recordOf(1, lambdabiz.KindTask, func(r *wire.Record) { r.Status = lambdabiz.StatusCancelled }))
	b.on(&types.ActivityTaskCompletedEventAttributes{ScheduledEventId: begun, Result: aws.String("1")})
	f := b.fold()
	if o := f.Find(1); o.Status != lambdabiz.StatusCancelled || o.Result != nil || f.OpenWork != 0 || f.News != f.Last {
		t.Errorf("%+v, %d are open", o, f.OpenWork)
	}
}
