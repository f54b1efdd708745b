// The program is a Lambda function for the tests: its input says what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type request struct {
	Do     string `json:"do"`
	Number int    `json:"number"`
}

type response struct {
	Number    int               `json:"number"`
	Warm      int               `json:"warm"` // invocations of this process before
	PID       int               `json:"pid"`
	LeftMS    int64             `json:"leftMs"`
	RequestID string            `json:"requestId"`
	ARN       string            `json:"arn"`
	Custom    map[string]string `json:"custom"`
	Env       map[string]string `json:"env"`
}

// shortageError has a type of its own, by which a caller tells it.
type shortageError struct{ missing int }

func (e *shortageError) Error() string { return fmt.Sprintf("%d are missing", e.missing) }

var before int

func main() {
	switch os.Getenv("BREAK_INIT") {
	case "":
	case "report":
		body := strings.NewReader(`{"errorMessage":"no table","errorType":"Config"}`)
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		if _, err := http.Post(url, "application/json", body); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(3)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, in request) (*response, error) {
	warm := before
	before++
	switch in.Do {
	case "fail":
		return nil, &shortageError{in.Number}
	case "panic":
		panic(errors.New("out of cheese"))
	case "exit":
		os.Exit(7)
	case "hang":
		time.Sleep(time.Hour) // deaf to its deadline
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "large":
		return &response{Env: map[string]string{"large": string(make([]byte, 2<<20))}}, nil // \u0000 each
	}
	fmt.Println("did", in.Number)
	out := &response{Number: in.Number * 2, Warm: warm, PID: os.Getpid(), Env: map[string]string{}}
	if deadline, ok := ctx.Deadline(); ok {
		out.LeftMS = time.Until(deadline).Milliseconds()
	}
	for _, name := range []string{"AWS_REGION", "AWS_LAMBDA_FUNCTION_VERSION", "EXTRA", "HOME"} {
		if value, ok := os.LookupEnv(name); ok {
			out.Env[name] = value
		}
	}
	out.Env["name"] = lambdacontext.FunctionName
	out.Env["memory"] = fmt.Sprint(lambdacontext.MemoryLimitInMB)
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		out.RequestID, out.ARN, out.Custom = lc.AwsRequestID, lc.InvokedFunctionArn, lc.ClientContext.Custom
	}
	return out, nil
}
