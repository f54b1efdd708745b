package plan

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// schedule begins an attempt: as an activity if a worker of the engine performs it, else as a Lambda function.
func (d *Draft) schedule(o *history.Op) error {
	text, err := wire.Marshal(&wire.Control{Version: wire.Version, Op: o.Number, Attempt: o.Attempts})
	if err != nil {
		return err
	}
	id := wire.AttemptID(o.ID, o.Attempts)
	if !o.Attempt.Local {
		return d.scheduleLambda(o, id, text)
	}
	t, err := d.activityType(o.Name)
	if err != nil {
		return err
	}
	f := d.task.Fold
	input, err := wire.Fit(fmt.Sprintf("input of operation %q", o.ID), &wire.Task{
		Version: wire.Version, ID: f.Info.ID, RunID: f.Info.RunID, Operation: o.ID, Kind: o.Kind, Name: o.Name,
		Attempt: o.Attempts, Key: o.Attempt.Key, Timeout: o.Attempt.Timeout, Heartbeat: o.Attempt.Heartbeat,
		Input: wire.Payload(o.Input), Details: wire.Payload(o.Details),
	})
	if err != nil {
		return err
	}
	none := aws.String("NONE")
	a := &types.ScheduleActivityTaskDecisionAttributes{
		ActivityId: &id, ActivityType: t, Control: &text, Input: &input,
		TaskList: &types.TaskList{Name: aws.String(wire.WorkList(f.List, o.Kind))}, ScheduleToStartTimeout: none,
		ScheduleToCloseTimeout: none, StartToCloseTimeout: none, HeartbeatTimeout: wire.Seconds(d.config.BeatTimeout),
	}
	if o.Attempt.Timeout > 0 { // the worker ends the attempt; this is for one that does not
		a.StartToCloseTimeout = wire.Seconds(min(o.Attempt.Timeout, wire.MaxRun) + d.config.BeatTimeout)
	}
	d.add(types.Decision{
		DecisionType: types.DecisionTypeScheduleActivityTask, ScheduleActivityTaskDecisionAttributes: a,
	})
	return nil
}

func (d *Draft) scheduleLambda(o *history.Op, id, text string) error {
	if n := len(o.Name); n > wire.MaxLambdaName {
		return fmt.Errorf("operation %q: Lambda function %q: %w: %d characters, the limit of Amazon SWF is %d",
			o.ID, o.Name, lambdabiz.ErrTooLarge, n, wire.MaxLambdaName)
	}
	if !utf8.Valid(o.Input) {
		return fmt.Errorf("operation %q: input of Lambda function %q: %w: it is not text", o.ID, o.Name, lambdabiz.ErrInvalidPayload)
	}
	limit := d.config.LambdaTimeout
	if o.Attempt.Timeout > 0 {
		limit = min(o.Attempt.Timeout, wire.MaxLambda)
	}
	input := string(o.Input)
	d.add(types.Decision{
		DecisionType: types.DecisionTypeScheduleLambdaFunction,
		ScheduleLambdaFunctionDecisionAttributes: &types.ScheduleLambdaFunctionDecisionAttributes{
			Id: &id, Name: aws.String(o.Name), Input: &input, Control: &text,
			StartToCloseTimeout: wire.Seconds(max(limit, time.Second)),
		},
	})
	return nil
}
