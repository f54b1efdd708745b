package lambdatask

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdabiz/lambdabiz"
)

// task performs the attempts of calls that a function answers.
func (c *Client) task(function string) lambdabiz.TaskFunc {
	return func(ctx context.Context, in lambdabiz.Payload) (lambdabiz.Payload, error) {
		if len(in) > MaxPayloadBytes {
			return nil, lambdabiz.NonRetryable(fmt.Errorf(
				"invoke Lambda function %s: %w: the input has %d bytes, the limit of Lambda is %d", function,
				lambdabiz.ErrTooLarge, len(in), MaxPayloadBytes))
		}
		request := &lambda.InvokeInput{
			FunctionName: aws.String(function), InvocationType: types.InvocationTypeRequestResponse, Payload: in,
		}
		if info, ok := lambdabiz.TaskInfoFrom(ctx); ok {
			carried, err := clientContext(info)
			if err != nil {
				return nil, lambdabiz.NonRetryable(fmt.Errorf("invoke Lambda function %s: %w", function, err))
			}
			request.ClientContext = aws.String(carried)
		}
		return c.attempt(ctx, request)
	}
}

// attempt tries until there is an outcome, or patience or context ends.
func (c *Client) attempt(ctx context.Context, request *lambda.InvokeInput) (lambdabiz.Payload, error) {
	function, begin := aws.ToString(request.FunctionName), time.Now()
	for try := 1; ; try++ {
		out, err := c.invoke(ctx, request)
		if err == nil {
			return outcome(function, out)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("invoke Lambda function %s: %w", function, context.Cause(ctx))
		}
		fault := faultOf(function, err)
		fault.Tries = try
		if !fault.again {
			return nil, fault
		}
		wait := max(backoff(try), fault.wait)
		if time.Since(begin)+wait > c.patience {
			return nil, fault
		}
		if !sleep(ctx, wait) {
			return nil, fmt.Errorf("invoke Lambda function %s: %w (the last answer: %w)", function, context.Cause(ctx), fault)
		}
	}
}

func (c *Client) invoke(ctx context.Context, request *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return c.lambda.Invoke(ctx, request)
}

// outcome is what a function answered. A response without a body, which some runtimes give, is null.
func outcome(function string, out *lambda.InvokeOutput) (lambdabiz.Payload, error) {
	if out.FunctionError != nil {
		return nil, functionErrorOf(function, *out.FunctionError, out.Payload)
	}
	if len(out.Payload) == 0 {
		return lambdabiz.Payload("null"), nil
	}
	return out.Payload, nil
}

// backoff is the wait after a try: half of it is left to chance, so that many callers spread.
func backoff(try int) time.Duration {
	wait := mostWait
	if try < 7 { // 100 ms shifted by more is over the most
		wait = min(firstWait<<(try-1), mostWait)
	}
	return wait/2 + rand.N(wait/2)
}

// sleep waits, and reports false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	clock := time.NewTimer(d)
	defer clock.Stop()
	select {
	case <-clock.C:
		return true
	case <-ctx.Done():
		return false
	}
}
