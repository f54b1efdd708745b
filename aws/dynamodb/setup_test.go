package dynamodb_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/storetest"
)

// transport is shared by all tests, so that they do not use up the machine's ports.
var transport = func() http.RoundTripper {
	t := &http.Transport{MaxIdleConns: 200, MaxIdleConnsPerHost: 200, Proxy: nil}
	return t
}()

// configFor works on a table of its own at a stand-in.
func configFor(endpoint string) dynamodb.Config {
	return dynamodb.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
			HTTPClient: &http.Client{Transport: transport},
		},
		Table: "T-" + rand.Text(), Endpoint: endpoint, CreateTable: true,
	}
}

// open opens the store and removes its table in the end.
func open(t *testing.T, c dynamodb.Config) *dynamodb.Store {
	t.Helper()
	s, err := dynamodb.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_, err := client(c).DeleteTable(context.WithoutCancel(t.Context()), &sdk.DeleteTableInput{TableName: &c.Table})
		var gone *types.ResourceNotFoundException // by an attempt whose answer was lost
		if err != nil && !errors.As(err, &gone) {
			t.Error(err)
		}
	})
	return s
}

// client looks into a table past the store.
func client(c dynamodb.Config) *sdk.Client {
	plain := c.AWS
	plain.HTTPClient = &http.Client{Transport: transport}
	return sdk.NewFromConfig(plain, func(o *sdk.Options) { o.BaseEndpoint = &c.Endpoint })
}

// conformance runs the suite on a stand-in.
func conformance(t *testing.T, config func(endpoint string) dynamodb.Config, endpoint string, skips map[string]string) {
	t.Helper()
	configs := map[lambdabiz.Store]dynamodb.Config{}
	guard := make(chan struct{}, 1)
	with := func(do func()) {
		guard <- struct{}{}
		defer func() { <-guard }()
		do()
	}
	storetest.Run(t, storetest.Config{
		TooLarge: 350 << 10, Skips: skips,
		Open: func(t *testing.T) lambdabiz.Store {
			c := config(endpoint)
			s := open(t, c)
			with(func() { configs[s] = c })
			return s
		},
		Reopen: func(t *testing.T, s lambdabiz.Store) lambdabiz.Store {
			var c dynamodb.Config
			with(func() { c = configs[s] })
			again, err := dynamodb.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			return again
		},
	})
}
