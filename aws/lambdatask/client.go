package lambdatask

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// Config sets up a [Client]. AWS is needed, the rest has defaults.
type Config struct {
	// AWS has region, credentials and HTTP client: usually what config.LoadDefaultConfig of the SDK
	// returns, which looks in the environment, the shared files and the machine's role. Static keys are
	// given with credentials.NewStaticCredentialsProvider. What is not taken over, for the clients of this
	// package only: retries (RetryMode, RetryMaxAttempts, Retryer; see the package's documentation), logging
	// of requests (ClientLogMode: they would show payloads and signatures), and the HTTP client's overall
	// and read timeouts, since a function may run for 15 minutes. lambdabiz.Timeout limits an attempt.
	AWS aws.Config

	// Endpoint is the base URL of the Lambda API, for a stand-in or a VPC endpoint. The default is the
	// region's own, or AWS.BaseEndpoint.
	Endpoint string

	// Patience is how long one attempt is tried again while Lambda throttles, has an internal error or
	// cannot be reached. The default is 1 min; negative means one try. When it is over, the attempt fails
	// and the call's Retry policy decides.
	Patience time.Duration
}

// Client invokes Lambda functions as tasks. It may be used by many goroutines and engines at once.
type Client struct {
	lambda   *lambda.Client
	patience time.Duration
}

// New makes a client, without I/O. It returns an error for a config without region or credentials.
func New(c Config) (*Client, error) {
	if c.AWS.Region == "" {
		return nil, errors.New("configure Lambda tasks: Config.AWS has no Region (config.LoadDefaultConfig finds " +
			"it in AWS_REGION or the profile; config.WithRegion sets it)")
	}
	if c.AWS.Credentials == nil {
		return nil, errors.New("configure Lambda tasks: Config.AWS has no Credentials (config.LoadDefaultConfig finds " +
			"them; credentials.NewStaticCredentialsProvider sets them)")
	}
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	c.AWS.HTTPClient = patient(c.AWS.HTTPClient)
	return &Client{patience: c.Patience, lambda: lambda.NewFromConfig(c.AWS, func(o *lambda.Options) {
		o.Retryer, o.RetryMaxAttempts = aws.NopRetryer{}, 0
		o.ClientLogMode = 0
		o.HTTPClient = awscall.Client(o.HTTPClient)
		o.APIOptions = append(o.APIOptions, awscall.CleanErrors)
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
	})}, nil
}

// patient returns the HTTP client without limits of time for a whole answer.
func patient(c aws.HTTPClient) aws.HTTPClient {
	switch h := c.(type) {
	case nil:
		return awshttp.NewBuildableClient().WithReadTimeout(0).WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = t.MaxIdleConns // all of them are for one host
		})
	case *awshttp.BuildableClient:
		return h.WithTimeout(0).WithReadTimeout(0)
	case *http.Client:
		own := *h
		own.Timeout = 0
		return &own
	default:
		return c
	}
}

// All makes every name that is not registered a Lambda function, if it can be one: a name, a partial or a
// full ARN, each with an optional version or alias ("Sum", "Sum:live", "123456789012:function:Sum",
// "arn:aws:lambda:eu-west-1:123456789012:function:Sum:7"). A function of another account needs an ARN, and
// must be in the client's region. A mistyped name is found out by Lambda only, and fails the call.
func (c *Client) All() *lambdabiz.TaskResolver {
	return lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
		if checkFunction(name) != nil {
			return nil
		}
		return c.task(name)
	})
}

// Only makes these names Lambda functions. Calls of others go to the next resolver, or block the run. It
// returns an error for what cannot be a function.
func (c *Client) Only(functions ...string) (*lambdabiz.TaskResolver, error) {
	named := make(map[string]string, len(functions))
	for _, f := range functions {
		named[f] = f
	}
	return c.Named(named)
}

// Named is like Only with task names of your own: the map gives the function of each.
func (c *Client) Named(functions map[string]string) (*lambdabiz.TaskResolver, error) {
	functions = maps.Clone(functions)
	for _, task := range slices.Sorted(maps.Keys(functions)) {
		if err := checkFunction(functions[task]); err != nil {
			return nil, fmt.Errorf("configure Lambda task %q: %w", task, err)
		}
	}
	return lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
		f, known := functions[name]
		if !known {
			return nil
		}
		return c.task(f)
	}), nil
}

// functionName is the pattern of FunctionName in the documentation of Invoke, where the part that is the
// name has 64 characters at most.
var functionName = regexp.MustCompile(`^(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov|-iso[a-z]?)?-[a-z]+-\d:)?(\d{12}:)?` +
	`(function:)?[a-zA-Z0-9-_.]{1,64}(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$`)

func checkFunction(name string) error {
	if !functionName.MatchString(name) {
		return fmt.Errorf("check function %q: it is no name (1 to 64 letters, digits, hyphens, underscores) and no ARN "+
			"of a Lambda function, with an optional version or alias after a colon", name)
	}
	return nil
}
