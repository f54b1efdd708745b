package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

const (
	// DefaultTable is the name of the table if Config.Table is empty: another than the original's, LambdaBiz, whose items are others.
	DefaultTable = "LambdaBizState"

	// DefaultRetention is how long an ended run stays if Config.Retention is 0.
	DefaultRetention = 365 * 24 * time.Hour

	longestRun  = 366 * 24 * time.Hour // SWF lets an execution run for a year
	maxItem     = 350 << 10            // bytes of an item; DynamoDB takes 400 KB
	concurrency = 16                   // requests of one call at the same time
	attempts    = 10                   // of one request, about half a minute when it is throttled
)

// Config says which table a [Store] works on, and how.
type Config struct {
	// AWS has the region, the credentials and the HTTP client. If it says nothing of retries, a request
	// is tried 10 times with a backoff of 5 seconds at most, as long as its context lasts.
	AWS aws.Config

	// Table is the name of the table. Default: LambdaBizState.
	Table string

	// Endpoint is the address of a stand-in, "http://127.0.0.1:8000". Default: that of the region.
	Endpoint string

	// Retention is how long a run stays after it has ended, and its id used. Default: 365 days.
	// Negative: for ever.
	Retention time.Duration

	// CreateTable lets Open create the table if it does not exist, as the original did on its first use.
	CreateTable bool
}

// Store is a [lambdabiz.Store] in a DynamoDB table. Make one with [Open].
type Store struct {
	client    *sdk.Client
	table     string
	retention time.Duration
	months    sync.Map // that are known to be in the table
}

var _ lambdabiz.Store = (*Store)(nil)

// Open makes sure that the table is there, has the index and is active; see Config.CreateTable. The error
// for a missing table says what to do.
func Open(ctx context.Context, c Config) (*Store, error) {
	s := newStore(c)
	table, err := s.client.DescribeTable(ctx, &sdk.DescribeTableInput{TableName: &s.table})
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing) && c.CreateTable:
		err = s.create(ctx)
	case err != nil:
		return nil, s.fault("open", err)
	case !hasIndex(table.Table):
		return nil, fmt.Errorf("dynamodb: table %s has no index %s with keys %s and %s: let Config.CreateTable make a table "+
			"of another name", s.table, indexName, attrIndexKey, attrIndexSort)
	case table.Table.TableStatus == types.TableStatusCreating:
		err = s.await(ctx)
	}
	if err != nil {
		return nil, s.fault("open", err)
	}
	return s, nil
}

// CreateTable creates the table, if it does not exist, with its index, billed on demand, and lets
// DynamoDB remove what has expired. It returns when the table is active.
func CreateTable(ctx context.Context, c Config) error {
	s := newStore(c)
	return s.fault("create table", s.create(ctx))
}

func newStore(c Config) *Store {
	s := &Store{table: c.Table, retention: c.Retention}
	if s.table == "" {
		s.table = DefaultTable
	}
	if s.retention == 0 {
		s.retention = DefaultRetention
	}
	s.client = sdk.NewFromConfig(c.AWS, func(o *sdk.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.HTTPClient = awscall.Client(o.HTTPClient)
		o.APIOptions = append(o.APIOptions, awscall.CleanErrors)
		if c.AWS.Retryer == nil && c.AWS.RetryMaxAttempts == 0 && c.AWS.RetryMode != aws.RetryModeAdaptive {
			// The context is the limit, not a quota that is shared by all calls.
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff, o.RateLimiter = attempts, 5*time.Second, ratelimit.None
			})
		}
	})
	return s
}

// Close does nothing: the HTTP client is the configuration's.
func (s *Store) Close() error { return nil }

// fault gives an error its words.
func (s *Store) fault(verb string, err error) error {
	var missing *types.ResourceNotFoundException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return fmt.Errorf("dynamodb: %s: there is no table %s in this region and account: set Config.CreateTable, call CreateTable, "+
			"or deploy the template's table: %w", verb, s.table, err)
	case errors.Is(err, lambdabiz.ErrTooLarge), errors.Is(err, lambdabiz.ErrStale):
		return fmt.Errorf("dynamodb: %s: %w", verb, err)
	}
	return fmt.Errorf("dynamodb: %s in table %s: %w", verb, s.table, err)
}

// conditionFailed reports whether a write was refused by its condition, and changed nothing.
func conditionFailed(err error) bool {
	var failed *types.ConditionalCheckFailedException
	return errors.As(err, &failed)
}

// parallel runs do for each of n places, several at a time, and stops at the first error.
func parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	places := make(chan int)
	var group sync.WaitGroup
	for range min(n, concurrency) {
		group.Go(func() {
			for i := range places {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case places <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(places)
	group.Wait()
	return context.Cause(ctx)
}
