package swf

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// Config sets up a [Backend]. AWS is required; the zero value of everything else works.
type Config struct {
	// AWS has region, credentials, endpoint and retry mode: what config.LoadDefaultConfig returns.
	AWS aws.Config

	// Endpoint replaces AWS's own address, for a stand-in on this machine.
	Endpoint string

	// Domain is the SWF domain. The default is "LambdaBiz". It is registered on first use.
	Domain string

	// ExistingDomain makes Open look for the domain instead of registering it, and return an error when it
	// is not there: SWF never forgets a domain, so a program that only looks must not register one.
	ExistingDomain bool

	// RetentionDays is how long SWF keeps the history of a run after its end, for a domain that Open
	// registers: 1 to 90. The default is 90.
	RetentionDays int

	// TaskList is the queue of runs that name none, and the one that workers of this backend serve. The
	// default is "lambdabiz". Runs driven by hand have a list of their own each.
	TaskList string

	// LambdaRole is the ARN of the role that SWF assumes to invoke Lambda functions. Without it, calls of
	// tasks that are no Go tasks fail.
	LambdaRole string

	// LambdaTimeout is the time that a Lambda function may take when its call says none: 900 s at most,
	// which is the default.
	LambdaTimeout time.Duration

	// DecisionTimeout is how long a worker may hold a run before SWF gives it to another one: 20 s to
	// 1 hour. The default is 60 s. Steps must end 10 s before it.
	DecisionTimeout time.Duration

	// BeatTimeout is how long a worker of tasks may be silent before SWF gives its attempts up. It is
	// kept by itself, every third of it. The default is 60 s.
	BeatTimeout time.Duration

	// Pollers is how many decision tasks are asked for at the same time. The default is 1; each costs one
	// call a minute when there is nothing to do.
	Pollers int

	// Store keeps a copy of the state, optional: see [lambdabiz.Store].
	Store lambdabiz.Store

	// Logger gets what goes wrong and is repaired. The default is slog.Default().
	Logger *slog.Logger
}

func (c *Config) fill() error {
	if c.AWS.Region == "" {
		return errors.New("configure swf: AWS.Region is empty (set it, or load AWS with config.LoadDefaultConfig)")
	}
	if c.AWS.Credentials == nil {
		return errors.New("configure swf: AWS.Credentials is nil (load AWS with config.LoadDefaultConfig)")
	}
	orDefault(&c.Domain, "LambdaBiz")
	orDefault(&c.TaskList, "lambdabiz")
	orDefault(&c.RetentionDays, wire.Retention)
	orDefault(&c.LambdaTimeout, wire.MaxLambda)
	orDefault(&c.DecisionTimeout, time.Minute)
	orDefault(&c.BeatTimeout, time.Minute)
	orDefault(&c.Pollers, 1)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.RetentionDays < 1 || c.RetentionDays > wire.Retention:
		return fmt.Errorf("configure swf: RetentionDays is %d, it must be 1 to %d", c.RetentionDays, wire.Retention)
	case c.LambdaTimeout < time.Second || c.LambdaTimeout > wire.MaxLambda:
		return fmt.Errorf("configure swf: LambdaTimeout is %v, it must be 1 s to %v", c.LambdaTimeout, wire.MaxLambda)
	case c.DecisionTimeout < 20*time.Second || c.DecisionTimeout > time.Hour:
		return fmt.Errorf("configure swf: DecisionTimeout is %v, it must be 20 s to 1 h", c.DecisionTimeout)
	case c.BeatTimeout < 3*time.Second:
		return fmt.Errorf("configure swf: BeatTimeout is %v, it must be 3 s or more", c.BeatTimeout)
	case c.Pollers < 1 || c.Pollers > 100:
		return fmt.Errorf("configure swf: Pollers is %d, it must be 1 to 100", c.Pollers)
	}
	return errors.Join(wire.CheckLength("Domain", c.Domain), wire.CheckQueue("TaskList", c.TaskList))
}

// options are those of a client.
func (c *Config) options(o *swf.Options) {
	if c.Endpoint != "" {
		o.BaseEndpoint = &c.Endpoint
	}
	o.HTTPClient = awscall.Client(o.HTTPClient)
	o.APIOptions = append(o.APIOptions, awscall.CleanErrors)
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// plans is what plans of answers have to know.
func (c *Config) plans() plan.Config {
	return plan.Config{
		TaskList: c.TaskList, DecisionTimeout: c.DecisionTimeout, LambdaTimeout: c.LambdaTimeout,
		BeatTimeout: c.BeatTimeout, Store: c.Store != nil,
	}
}
