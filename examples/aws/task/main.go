// The program is five Lambda functions: LAMBDABIZ_TASK says which one it is. They compute with two numbers, and know
// nothing of orchestrations.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/lambdabiz/lambdabiz/examples/aws/sequence"
)

var errDivision = errors.New("division by zero")

var functions = map[string]any{
	"Number":     func(_ context.Context, n sequence.Numbers) (sequence.Numbers, error) { return n, nil },
	"Sum":        operation(func(a, b float64) (float64, error) { return a + b, nil }),
	"Difference": operation(func(a, b float64) (float64, error) { return a - b, nil }),
	"Product":    operation(func(a, b float64) (float64, error) { return a * b, nil }),
	"Quotient": operation(func(a, b float64) (float64, error) {
		if b == 0 {
			return 0, errDivision
		}
		return a / b, nil
	}),
}

func operation(f func(a, b float64) (float64, error)) any {
	return func(_ context.Context, n sequence.Numbers) (sequence.OperationResult, error) {
		result, err := f(float64(n.Number1), float64(n.Number2))
		return sequence.OperationResult{Number1: n.Number1, Number2: n.Number2, Result: result}, err
	}
}

func main() {
	name := os.Getenv("LAMBDABIZ_TASK")
	f, ok := functions[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "LAMBDABIZ_TASK is %q, it must be Number, Sum, Difference, Product or Quotient\n", name)
		os.Exit(1)
	}
	lambda.Start(f)
}
