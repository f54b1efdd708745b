package swf

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"
)

// Check is what [CheckConfig] found out about one thing that a backend needs.
type Check struct {
	Name   string // "region", "credentials", "domain" or "lambda role"
	Detail string // what it is; never a credential
	Err    error  // what is wrong with it
}

// roleARN is the form of a role's ARN (IAM User Guide, "IAM identifiers").
var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/.+$`)

// CheckConfig looks whether a backend with the configuration could work: it resolves the credentials and asks
// SWF for the domain. It writes nothing. That the role may be assumed and may invoke functions shows only when
// SWF does it.
func CheckConfig(ctx context.Context, c Config) []Check {
	region := Check{Name: "region", Detail: c.AWS.Region}
	if region.Err = c.fill(); region.Err != nil {
		return []Check{region}
	}
	client := swf.NewFromConfig(c.AWS, c.options)
	if endpoint := client.Options().BaseEndpoint; endpoint != nil { // it may come from the environment
		region.Detail += " at " + *endpoint
	}
	checks := []Check{region}
	who := Check{Name: "credentials"}
	keys, err := c.AWS.Credentials.Retrieve(ctx)
	if err != nil {
		who.Err = fmt.Errorf("resolve credentials: %w", err)
		return append(checks, who)
	}
	who.Detail = "from " + keys.Source
	if keys.CanExpire {
		who.Detail += ", until " + keys.Expires.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return append(checks, who, checkDomain(ctx, client, c.Domain), checkRole(c.LambdaRole))
}

func checkDomain(ctx context.Context, client *swf.Client, domain string) Check {
	check := Check{Name: "domain", Detail: domain}
	out, err := client.DescribeDomain(ctx, &swf.DescribeDomainInput{Name: &domain})
	switch {
	case isUnknown(err):
		check.Err = errors.New("it does not exist in this region and account; the first worker or start registers it")
	case err != nil:
		check.Err = fmt.Errorf("describe domain: %w", err)
	case out.DomainInfo.Status != types.RegistrationStatusRegistered:
		check.Err = errors.New("it is deprecated: nothing can be started in it")
	default:
		check.Detail += ", histories stay for " + aws.ToString(out.Configuration.WorkflowExecutionRetentionPeriodInDays) + " days"
	}
	return check
}

func checkRole(role string) Check {
	check := Check{Name: "lambda role", Detail: role}
	switch {
	case role == "":
		check.Detail = "none: calls of Lambda functions fail, unless the orchestration was started with one"
	case !roleARN.MatchString(role):
		check.Err = errors.New("it is not the ARN of a role (arn:aws:iam::123456789012:role/name)")
	}
	return check
}
