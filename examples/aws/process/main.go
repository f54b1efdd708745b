// The program runs the orchestrations of the example on Amazon SWF: as a Lambda function in the modes drive and pulse,
// and as a process of its own in the mode process. Its environment:
//
//	LAMBDABIZ_MODE              pulse (the default), drive or process
//	LAMBDABIZ_DOMAIN            the SWF domain; the default is LambdaBiz
//	LAMBDABIZ_TASK_LIST         the task list that pulse and process serve; the default is lambdabiz
//	LAMBDABIZ_LAMBDA_ROLE       the role by which SWF invokes Lambda functions
//	LAMBDABIZ_TABLE             the DynamoDB table of states; without it there is none
//	LAMBDABIZ_MARGIN            lambdahandler.Config.Margin, for stand-ins only: its default fits Amazon SWF
//	LAMBDABIZ_DECISION_TIMEOUT  swf.Config.DecisionTimeout
//
// Region, credentials and endpoints are those of the AWS SDK: AWS_REGION, AWS_ENDPOINT_URL_SWF and so on.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/lambdahandler"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/examples/aws/sequence"
	"github.com/lambdabiz/lambdabiz/rest"
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil))) // CloudWatch reads it as JSON
	if err := run(); err != nil {
		slog.Error("the orchestrator ends", "error", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	backend, err := open(ctx)
	if err != nil {
		return err
	}
	client, err := rest.NewClient(rest.Config{})
	if err != nil {
		return err
	}
	items := []lambdabiz.Registrable{sequence.Sequence, sequence.RESTSequence, client.Services()}
	mode := os.Getenv("LAMBDABIZ_MODE")
	if mode == "process" {
		return work(ctx, backend, items)
	}
	margin, err := duration("LAMBDABIZ_MARGIN")
	if err != nil {
		return err
	}
	handler, err := lambdahandler.New(lambdahandler.Config{
		Backend: backend, Register: items, Names: []string{"Sequence", "RESTSequence"}, Margin: margin,
	})
	if err != nil {
		return err
	}
	switch mode {
	case "drive":
		lambda.Start(handler.Drive)
	case "pulse", "":
		lambda.Start(handler.Pulse)
	default:
		return fmt.Errorf("LAMBDABIZ_MODE is %q, it must be pulse, drive or process", mode)
	}
	return nil
}

// open opens the backend, and its store if there is a table.
func open(ctx context.Context) (*swf.Backend, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	timeout, err := duration("LAMBDABIZ_DECISION_TIMEOUT")
	if err != nil {
		return nil, err
	}
	c := swf.Config{
		AWS: aws, Domain: os.Getenv("LAMBDABIZ_DOMAIN"), TaskList: os.Getenv("LAMBDABIZ_TASK_LIST"),
		LambdaRole: os.Getenv("LAMBDABIZ_LAMBDA_ROLE"), DecisionTimeout: timeout,
	}
	if table := os.Getenv("LAMBDABIZ_TABLE"); table != "" {
		if c.Store, err = dynamodb.Open(ctx, dynamodb.Config{AWS: aws, Table: table}); err != nil {
			return nil, err
		}
	}
	return swf.Open(ctx, c)
}

// work serves the task list until the process is told to stop.
func work(ctx context.Context, backend *swf.Backend, items []lambdabiz.Registrable) error {
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		return err
	}
	if err := engine.Register(items...); err != nil {
		return err
	}
	if err := engine.Run(ctx); err != nil {
		return err
	}
	return engine.Close()
}

func duration(name string) (time.Duration, error) {
	text := os.Getenv(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}
