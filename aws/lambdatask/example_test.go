package lambdatask_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdatask"
	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
	"github.com/lambdabiz/lambdabiz/memory"
)

// The function Sum runs on Lambda, here on a stand-in for it; the orchestration runs in this process.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	aws, err := fakelambda.Open(fakelambda.Config{})
	check(err)
	check(aws.Register(fakelambda.Function{Name: "Sum", Func: sum}))

	client, err := lambdatask.New(lambdatask.Config{
		AWS:      awsConfig(), // in a program: what config.LoadDefaultConfig(ctx) returns
		Endpoint: aws.URL(),   // in a program: leave it out
	})
	check(err)
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, in numbers) (int, error) {
		return lambdabiz.CallTask[int](o, "Operation1", "Sum", in, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3}))
	})
	engine, err := lambdabiz.New(memory.New(), lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	check(err)
	check(engine.Register(order, client.All()))
	worker := make(chan error, 1)
	go func() { worker <- engine.Run(ctx) }()

	run, err := lambdabiz.Start(ctx, engine, order, "order-17", numbers{A: 15, B: 5})
	check(err)
	result, err := run.Result(ctx)
	fmt.Println(result, err)

	cancel()
	check(<-worker)
	check(engine.Close())
	check(aws.Close())
	// Output: 20 <nil>
}

// Region, credentials and endpoint without the default chain. The retry mode of the AWS configuration is
// for other clients: this one has its own rules, of which Patience can be set.
func ExampleConfig() {
	c, err := config.LoadDefaultConfig(context.Background(),
		config.WithRegion("eu-central-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "the secret key", "")),
		config.WithRetryMode(aws.RetryModeAdaptive),
	)
	check(err)
	client, err := lambdatask.New(lambdatask.Config{
		AWS:      c,
		Endpoint: "https://vpce-1.lambda.eu-central-1.vpce.amazonaws.com",
		Patience: -1, // throttles are for the Retry policy of the calls
	})
	check(err)
	_, err = client.Named(map[string]string{"Sum": "arn:aws:lambda:eu-central-1:123456789012:function:Sum:live"})
	fmt.Println(err)
	// Output: <nil>
}

// A handler on Lambda that does its work once per operation, however often it is invoked.
func ExampleInfoFrom() {
	done := map[string]int{} // in a program: a table
	handler := func(ctx context.Context, in numbers) (int, error) {
		info, ok := lambdatask.InfoFrom(ctx)
		if !ok {
			return in.A + in.B, nil // invoked by somebody else
		}
		if result, again := done[info.IdempotencyKey]; again {
			return result, nil
		}
		done[info.IdempotencyKey] = in.A + in.B
		return done[info.IdempotencyKey], nil
	}
	// lambda.Start(handler) of aws-lambda-go makes it a Lambda function.
	fmt.Println(handler(context.Background(), numbers{A: 1, B: 2}))
	// Output: 3 <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
