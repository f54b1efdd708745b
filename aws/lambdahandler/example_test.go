package lambdahandler_test

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/lambdahandler"
	"github.com/lambdabiz/lambdabiz/aws/swf"
)

// The main function of a Lambda function. Invoked with {"orchestrationId": "Greeting1", "input": "Ann"} it drives that
// orchestration and answers with its state; with an event in between, so it takes two calls.
func Example() { //nolint:testableexamples // the main function of a Lambda function never returns
	greeting := lambdabiz.Define("Greeting", func(o lambdabiz.Context, name string) (string, error) {
		text, err := lambdabiz.CallTask[string](o, "compose", "ComposeGreeting", name) // a Lambda function
		if err != nil {
			return "", err
		}
		if _, err := lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Timeout(72*time.Hour)); err != nil {
			return "", err
		}
		return text, nil
	})

	ctx := context.Background()
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	store, err := dynamodb.Open(ctx, dynamodb.Config{AWS: aws})
	if err != nil {
		log.Fatal(err)
	}
	backend, err := swf.Open(ctx, swf.Config{AWS: aws, LambdaRole: os.Getenv("INVOKER_ROLE"), Store: store})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := lambdahandler.New(lambdahandler.Config{
		Backend: backend, Register: []lambdabiz.Registrable{greeting}, Names: []string{"Greeting"},
	})
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(handler.Drive) // or, where a schedule starts the function every minute: lambda.Start(handler.Pulse)
}
