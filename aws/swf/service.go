package swf

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// service is Amazon SWF as one domain of it is asked.
type service struct {
	client *swf.Client
	poller *swf.Client // with an HTTP client that waits for long polls
	domain string
	log    *slog.Logger
}

func newService(c *Config) *service {
	return &service{
		client: swf.NewFromConfig(c.AWS, c.options), poller: swf.NewFromConfig(c.AWS, longPolls, c.options),
		domain: c.Domain, log: c.Logger,
	}
}

// signal sends an envelope to a run that is no event.
func (a *service) signal(ctx context.Context, id, home string, s *wire.Signal) error {
	s.Version = wire.Version
	if s.At.IsZero() {
		s.At = now()
	}
	input, err := wire.Fit("signal", s)
	if err != nil {
		return err
	}
	in := &swf.SignalWorkflowExecutionInput{
		Domain: &a.domain, WorkflowId: aws.String(wire.EncodeID(id)), SignalName: aws.String(wire.ControlSignal), Input: &input,
	}
	if home != "" {
		in.RunId = &home
	}
	_, err = a.client.SignalWorkflowExecution(ctx, in)
	return err //nolint:wrapcheck // the callers branch on it
}

// describe is the status of an execution; "" for one that SWF does not know any more.
func (a *service) describe(ctx context.Context, x *types.WorkflowExecution) (types.ExecutionStatus, error) {
	out, err := a.client.DescribeWorkflowExecution(ctx, &swf.DescribeWorkflowExecutionInput{Domain: &a.domain, Execution: x})
	switch {
	case isUnknown(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("check orchestration %s: %w", wire.DecodeID(aws.ToString(x.WorkflowId)), err)
	}
	return out.ExecutionInfo.ExecutionStatus, nil
}

// executionNamed is an execution by its orchestration's id and SWF's run id.
func executionNamed(id, home string) *types.WorkflowExecution {
	return &types.WorkflowExecution{WorkflowId: aws.String(wire.EncodeID(id)), RunId: &home}
}

// pollOnce is for polls: one whose answer was lost may have taken a task, and another one would get none of it, for a
// minute, without a word. Only a poll that SWF had no room for is sent again.
func pollOnce(o *swf.Options) {
	o.Retryer = throttled{o.Retryer}
}

// throttled is a Retryer for throttles alone.
type throttled struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (r throttled) IsErrorRetryable(err error) bool {
	return isThrottle(err) && r.Retryer.IsErrorRetryable(err)
}

// longPolls gives polls an HTTP client that waits longer than SWF holds them, which is 60 s.
func longPolls(o *swf.Options) {
	if client, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
		o.HTTPClient = client.WithTimeout(pollTimeout)
	}
	if client, ok := o.HTTPClient.(*http.Client); ok && client.Timeout > 0 && client.Timeout < pollTimeout {
		longer := *client
		longer.Timeout = pollTimeout
		o.HTTPClient = &longer
	}
}

// pollTimeout bounds a long poll: SWF holds it for 60 s (PollForDecisionTask).
const pollTimeout = 70 * time.Second

// identity names this process in the history.
func identity() *string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return aws.String(wire.Cut("lambdabiz "+host+" "+strconv.Itoa(os.Getpid()), 250))
}
