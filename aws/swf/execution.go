package swf

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// execution is a run as SWF's lists have it.
type execution struct {
	home string
	info lambdabiz.RunInfo
}

// oldest is when a run that SWF still knows can have started at the earliest.
func oldest() time.Time { return time.Now().Add(-wire.MaxRun - wire.Retention*24*time.Hour) }

// executionOf reads a row of a list.
func executionOf(x *types.WorkflowExecutionInfo) execution {
	e := execution{home: aws.ToString(x.Execution.RunId), info: lambdabiz.RunInfo{
		ID: wire.DecodeID(aws.ToString(x.Execution.WorkflowId)), Name: wire.DecodeID(aws.ToString(x.WorkflowType.Name)),
		Status: statusOf(x), ScheduledAt: wire.Stamp(aws.ToTime(x.StartTimestamp)), CancelRequested: x.CancelRequested,
	}}
	e.info.RunID = e.home
	if x.CloseTimestamp != nil {
		e.info.EndedAt = wire.Stamp(*x.CloseTimestamp)
	}
	name := e.info.ID
	for _, tag := range x.TagList {
		if id, ok := strings.CutPrefix(tag, wire.RunTag); ok {
			e.info.RunID = id
		}
		if other, ok := strings.CutPrefix(tag, wire.NameTag); ok {
			name = other
		}
		if tag == wire.HandTag {
			e.info.Mode = lambdabiz.ModeHand
		}
	}
	if e.info.Mode == lambdabiz.ModeHand && e.info.Name == wire.HandType {
		e.info.Name = name
	}
	return e
}

func statusOf(x *types.WorkflowExecutionInfo) lambdabiz.Status {
	if x.ExecutionStatus == types.ExecutionStatusOpen {
		return lambdabiz.StatusStarted
	}
	switch x.CloseStatus {
	case types.CloseStatusCompleted, types.CloseStatusContinuedAsNew:
		return lambdabiz.StatusSucceeded
	case types.CloseStatusCanceled:
		return lambdabiz.StatusCancelled
	case types.CloseStatusTerminated:
		return lambdabiz.StatusTerminated
	case types.CloseStatusTimedOut:
		return lambdabiz.StatusTimeout
	default:
		return lambdabiz.StatusFailed
	}
}
