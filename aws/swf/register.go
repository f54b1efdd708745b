package swf

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// typeVersion is the version of all types: the version of an orchestration's code is no concern of SWF.
const typeVersion = "1"

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

// workflowType makes sure that the type of a definition is registered.
func (b *Backend) workflowType(ctx context.Context, name string) (*types.WorkflowType, error) {
	t := &types.WorkflowType{Name: aws.String(wire.EncodeID(name)), Version: aws.String(typeVersion)}
	if err := wire.CheckLength("orchestration name", name); err != nil {
		return nil, err
	}
	err := b.register("w"+name, func() error {
		_, err := b.client.RegisterWorkflowType(ctx, &swf.RegisterWorkflowTypeInput{
			Domain: &b.config.Domain, Name: t.Name, Version: t.Version,
		})
		return err
	})
	return t, err
}

// activityType makes sure that the type of a task or service is registered.
func (b *Backend) activityType(ctx context.Context, name string) (*types.ActivityType, error) {
	t := &types.ActivityType{Name: aws.String(wire.EncodeID(name)), Version: aws.String(typeVersion)}
	if err := wire.CheckLength("task name", name); err != nil {
		return nil, err
	}
	err := b.register("a"+name, func() error {
		_, err := b.client.RegisterActivityType(ctx, &swf.RegisterActivityTypeInput{
			Domain: &b.config.Domain, Name: t.Name, Version: t.Version,
		})
		return err
	})
	return t, err
}

// register does it once per process. A role that may not register is taken to use what is registered.
func (b *Backend) register(key string, do func() error) error {
	b.mu.Lock()
	known := b.types[key]
	b.mu.Unlock()
	if known {
		return nil
	}
	var exists *types.TypeAlreadyExistsFault
	if err := do(); err != nil && !errors.As(err, &exists) && !isDenied(err) {
		return fmt.Errorf("register type %s: %w", key[1:], err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.types[key] = true
	return nil
}
