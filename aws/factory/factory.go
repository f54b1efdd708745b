package factory

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/swf"
)

// Config says which account and region, and what of them is used. The zero value works where the environment, the shared
// files or the machine's role say the rest, but for Lambda functions, which need a role.
type Config struct {
	// AccessKey and SecretKey are static credentials: both or none. The default is the chain of the AWS SDK.
	AccessKey, SecretKey string

	// Region is the default of the AWS SDK if it is empty.
	Region string

	// Persist keeps a copy of the state in DynamoDB, so that ids stay used, lists have filters, and states stay
	// longer than SWF's 90 days. The table LambdaBizState is created when it is not there.
	Persist bool

	// LambdaRole is the ARN of the role that SWF assumes to invoke Lambda functions.
	LambdaRole string
}

// Open makes an engine on Amazon SWF's domain LambdaBiz, which it registers when it is not there. The engine is a client
// until its Run is called, and drives orchestrations by hand with Create. An error says what is missing.
func Open(ctx context.Context, c Config) (*lambdabiz.Engine, error) {
	var options []func(*config.LoadOptions) error
	switch {
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return nil, errors.New("open an engine on AWS: give AccessKey and SecretKey, or neither of them")
	case c.AccessKey != "":
		keys := credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")
		options = append(options, config.WithCredentialsProvider(keys))
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("open an engine on AWS: %w", err)
	}
	home := swf.Config{AWS: cfg, LambdaRole: c.LambdaRole}
	if c.Persist {
		store, err := dynamodb.Open(ctx, dynamodb.Config{AWS: cfg, CreateTable: true})
		if err != nil {
			return nil, fmt.Errorf("open an engine on AWS: %w", err)
		}
		home.Store = store
	}
	backend, err := swf.Open(ctx, home)
	if err != nil {
		return nil, fmt.Errorf("open an engine on AWS: %w", err)
	}
	return lambdabiz.New(backend, lambdabiz.Config{})
}
