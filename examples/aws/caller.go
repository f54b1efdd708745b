package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// functionError is the outcome of an invocation that failed.
type functionError struct {
	Type    string          `json:"errorType"`
	Message string          `json:"errorMessage"`
	Payload json.RawMessage `json:"-"`
}

func (e *functionError) Error() string { return e.Type + ": " + e.Message }

// invoke calls a function as any caller on AWS does.
func (l *local) invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	client := lambda.NewFromConfig(l.awsConfig(), func(o *lambda.Options) { o.BaseEndpoint = aws.String(l.lambda.URL()) })
	out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		return nil, err
	}
	if out.FunctionError == nil {
		return out.Payload, nil
	}
	fault := &functionError{Payload: out.Payload}
	if err := json.Unmarshal(out.Payload, fault); err != nil {
		return nil, fmt.Errorf("function error %s: %s", *out.FunctionError, out.Payload)
	}
	return nil, fault
}

// drive calls Process once for an orchestration, and tells what came of it.
func (l *local) drive(ctx context.Context, name, id string, input any) (*lambdabiz.State, error) {
	encoded, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(map[string]any{"orchestrationId": id, "name": name, "input": lambdabiz.Payload(encoded)})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(l.Out, "call Process for %s\n", id)
	begin := time.Now()
	answer, err := l.invoke(ctx, "Process", request)
	took := time.Since(begin).Round(10 * time.Millisecond)
	if err != nil {
		fmt.Fprintf(l.Out, "  after %v: %v\n", took, err)
		return nil, err
	}
	var state lambdabiz.State
	if err := json.Unmarshal(answer, &state); err != nil {
		return nil, fmt.Errorf("read the answer of Process: %w", err)
	}
	waits := make([]string, 0, len(state.WaitingFor))
	for _, w := range state.WaitingFor {
		waits = append(waits, w.Operation)
	}
	fmt.Fprintf(l.Out, "  after %v: %v", took, state.Status)
	if len(waits) > 0 {
		fmt.Fprintf(l.Out, ", waiting for %s", strings.Join(waits, ", "))
	}
	fmt.Fprintln(l.Out)
	return &state, nil
}

// perform is how the fake of SWF invokes a Lambda function.
func (l *local) perform(ctx context.Context, name, input string) (string, error) {
	if l.BeforeTask != nil {
		l.BeforeTask(name)
	}
	out, err := l.invoke(ctx, name, []byte(input))
	if fault, ok := err.(*functionError); ok { //nolint:errorlint // invoke returns it as it is
		return "", &fakeswf.LambdaError{Reason: "UnhandledError", Details: string(fault.Payload)}
	}
	if err != nil {
		return "", err
	}
	fmt.Fprintf(l.Out, "  SWF invokes %s with %s: %s\n", name, input, out)
	return string(out), nil
}
