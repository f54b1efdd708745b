package swf

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// registry makes sure that types are registered.
type registry struct {
	*service
	mu    sync.Mutex
	known map[plan.Type]bool // those that are
}

// register makes sure that a type is registered.
func (r *registry) register(ctx context.Context, t plan.Type) error {
	name, version := aws.String(wire.EncodeID(t.Name)), aws.String(wire.TypeVersion)
	return r.once(t, func() error {
		if t.Activity {
			_, err := r.client.RegisterActivityType(ctx, &swf.RegisterActivityTypeInput{
				Domain: &r.domain, Name: name, Version: version,
			})
			return err
		}
		_, err := r.client.RegisterWorkflowType(ctx, &swf.RegisterWorkflowTypeInput{
			Domain: &r.domain, Name: name, Version: version,
		})
		return err
	})
}

// once does it once per process. A role that may not register is taken to use what is registered.
func (r *registry) once(t plan.Type, do func() error) error {
	r.mu.Lock()
	known := r.known[t]
	r.mu.Unlock()
	if known {
		return nil
	}
	var exists *types.TypeAlreadyExistsFault
	if err := do(); err != nil && !errors.As(err, &exists) && !isDenied(err) {
		return fmt.Errorf("register type %s: %w", t.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[t] = true
	return nil
}
