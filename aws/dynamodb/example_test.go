package dynamodb_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
)

// The store is for a backend; to look into it, read it.
func ExampleOpen() { //nolint:testableexamples // it needs a table and credentials
	ctx := context.Background()
	store, err := dynamodb.Open(ctx, dynamodb.Config{
		AWS:         aws.Config{Region: "eu-west-1"}, // with credentials: config.LoadDefaultConfig makes it
		CreateTable: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	page, err := store.List(ctx, lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusFailed}})
	if err != nil {
		log.Fatal(err)
	}
	for _, run := range page.Runs {
		fmt.Println(run.ID, run.Name, run.ScheduledAt)
	}
}
