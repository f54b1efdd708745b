package swf

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"
)

func (a *service) registerDomain(ctx context.Context, retentionDays int) error {
	_, err := a.client.RegisterDomain(ctx, &swf.RegisterDomainInput{
		Name: &a.domain, WorkflowExecutionRetentionPeriodInDays: aws.String(strconv.Itoa(retentionDays)),
	})
	var exists *types.DomainAlreadyExistsFault
	var denied *types.OperationNotPermittedFault
	switch {
	case err == nil:
		a.log.Info("registered the domain", "domain", a.domain)
		return nil
	case errors.As(err, &exists):
		return nil
	case errors.As(err, &denied) || isDenied(err): // a role that may not register may still use it
		_, look := a.client.DescribeDomain(ctx, &swf.DescribeDomainInput{Name: &a.domain})
		if look == nil || isDenied(look) { // nor look at it
			return nil
		}
	}
	return fmt.Errorf("open swf: register domain %s: %w", a.domain, err)
}

// findDomain returns an error for a domain that is not there. A role that may not look may still use it.
func (a *service) findDomain(ctx context.Context) error {
	_, err := a.client.DescribeDomain(ctx, &swf.DescribeDomainInput{Name: &a.domain})
	switch {
	case err == nil || isDenied(err):
		return nil
	case isUnknown(err):
		return fmt.Errorf("open swf: there is no domain %s in this region and account: %w", a.domain, err)
	default:
		return fmt.Errorf("open swf: describe domain %s: %w", a.domain, err)
	}
}
