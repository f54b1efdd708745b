package swf

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func (b *Backend) registerDomain(ctx context.Context) error {
	_, err := b.client.RegisterDomain(ctx, &swf.RegisterDomainInput{
		Name: &b.config.Domain, WorkflowExecutionRetentionPeriodInDays: aws.String(strconv.Itoa(b.config.RetentionDays)),
	})
	var exists *types.DomainAlreadyExistsFault
	var denied *types.OperationNotPermittedFault
	switch {
	case err == nil:
		b.log.Info("registered the domain", "domain", b.config.Domain)
		return nil
	case errors.As(err, &exists):
		return nil
	case errors.As(err, &denied) || isDenied(err): // a role that may not register may still use it
		_, look := b.client.DescribeDomain(ctx, &swf.DescribeDomainInput{Name: &b.config.Domain})
		if look == nil || isDenied(look) { // nor look at it
			return nil
		}
	}
	return fmt.Errorf("open swf: register domain %s: %w", b.config.Domain, err)
}

// findDomain returns an error for a domain that is not there. A role that may not look may still use it.
func (b *Backend) findDomain(ctx context.Context) error {
	_, err := b.client.DescribeDomain(ctx, &swf.DescribeDomainInput{Name: &b.config.Domain})
	switch {
	case err == nil || isDenied(err):
		return nil
	case isUnknown(err):
		return fmt.Errorf("open swf: there is no domain %s in this region and account: %w", b.config.Domain, err)
	default:
		return fmt.Errorf("open swf: describe domain %s: %w", b.config.Domain, err)
	}
}

// registerType makes sure that a type is registered.
func (b *Backend) registerType(ctx context.Context, t plan.Type) error {
	name, version := aws.String(wire.EncodeID(t.Name)), aws.String(wire.TypeVersion)
	return b.register(t, func() error {
		if t.Activity {
			_, err := b.client.RegisterActivityType(ctx, &swf.RegisterActivityTypeInput{
				Domain: &b.config.Domain, Name: name, Version: version,
			})
			return err
		}
		_, err := b.client.RegisterWorkflowType(ctx, &swf.RegisterWorkflowTypeInput{
			Domain: &b.config.Domain, Name: name, Version: version,
		})
		return err
	})
}

// register does it once per process. A role that may not register is taken to use what is registered.
func (b *Backend) register(t plan.Type, do func() error) error {
	b.mu.Lock()
	known := b.types[t]
	b.mu.Unlock()
	if known {
		return nil
	}
	var exists *types.TypeAlreadyExistsFault
	if err := do(); err != nil && !errors.As(err, &exists) && !isDenied(err) {
		return fmt.Errorf("register type %s: %w", t.Name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.types[t] = true
	return nil
}
