package fromcsharp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// withKeys is new AWSOrchestrationFactory(awsAccessKey, awsSecretAccessKey, awsRegion, true, lambdaRole).
func withKeys(ctx context.Context, key, secret, region, lambdaRole string) (*lambdabiz.Engine, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(key, secret, "")))
	if err != nil {
		return nil, err
	}
	store, err := dynamodb.Open(ctx, dynamodb.Config{AWS: cfg, CreateTable: true}) // usePersistantStore
	if err != nil {
		return nil, err
	}
	backend, err := swf.Open(ctx, swf.Config{AWS: cfg, LambdaRole: lambdaRole, Store: store})
	if err != nil {
		return nil, err
	}
	return lambdabiz.New(backend, lambdabiz.Config{})
}

// withDefaults is new AWSOrchestrationFactory(false, lambdaRole): credentials and region are those of the environment,
// the shared files or the machine's role.
func withDefaults(ctx context.Context, lambdaRole string) (*lambdabiz.Engine, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	backend, err := swf.Open(ctx, swf.Config{AWS: cfg, LambdaRole: lambdaRole}) // no Store: usePersistantStore is false
	if err != nil {
		return nil, err
	}
	return lambdabiz.New(backend, lambdabiz.Config{})
}

// onAWS is the set-up of docs/aws.md: with the defaults, and with a table that is there.
func onAWS(ctx context.Context, lambdaRole string) (*lambdabiz.Engine, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	store, err := dynamodb.Open(ctx, dynamodb.Config{AWS: cfg})
	if err != nil {
		return nil, err
	}
	backend, err := swf.Open(ctx, swf.Config{AWS: cfg, LambdaRole: lambdaRole, Store: store})
	if err != nil {
		return nil, err
	}
	return lambdabiz.New(backend, lambdabiz.Config{})
}

// restart is CreateOrchestrationAsync and StartWorkflowAsync where there is no store: SWF knows open ids only.
func restart(ctx context.Context, engine *lambdabiz.Engine, id string) (*lambdabiz.Orchestration, error) {
	o, err := engine.Create(ctx, id)
	if err != nil {
		return nil, err
	}
	return o, o.Start("Workflow Started", lambdabiz.OnUsedID(lambdabiz.RestartEnded))
}

// served gives the fake an address on this machine.
func served(t *testing.T) string {
	t.Helper()
	server := fake(t, fakeswf.Config{PollWait: 50 * time.Millisecond})
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return web.URL
}

func TestFactoryWithKeys(t *testing.T) {
	table := standins.DynamoDB(t)
	t.Setenv("AWS_ENDPOINT_URL_SWF", served(t))
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", table)
	key := "A" + rand.Text()
	engine, err := withKeys(t.Context(), key, "secret", "eu-west-1", "arn:aws:iam::123456789012:role/lambdabiz")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	if _, err := onAWS(t.Context(), "arn:aws:iam::123456789012:role/lambdabiz"); err != nil {
		t.Fatal(err)
	}
	if err := drive(t, engine, "Keys", func(lambdabiz.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	page, err := engine.List(t.Context(), lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}})
	if err != nil || len(page.Runs) != 1 {
		t.Error(page, err)
	}
}

func TestFactoryWithDefaults(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_SWF", served(t))
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	engine, err := withDefaults(t.Context(), "arn:aws:iam::123456789012:role/lambdabiz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restart(t.Context(), engine, "Defaults"); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutAStoreAStartNeedsAPolicy: the default one must know ids for ever.
func TestWithoutAStoreAStartNeedsAPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := engineOn(t, onSWF(t, fake(t, fakeswf.Config{}), nil))
		o, err := engine.Create(t.Context(), "Free")
		if err != nil {
			t.Fatal(err)
		}
		var unsupported *lambdabiz.UnsupportedError
		if err := o.Start(nil); !errors.As(err, &unsupported) || unsupported.Feature != lambdabiz.FeatureStartPolicy {
			t.Errorf("the default start: %v", err)
		}
		first, err := restart(t.Context(), engine, "Free")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Complete(1); err != nil {
			t.Fatal(err)
		}
		again, err := engine.Create(t.Context(), "Free")
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Start(nil, lambdabiz.OnUsedID(lambdabiz.RestartEnded)); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Errorf("the second start by hand: %v", err)
		}
	})
}

// TestAnIDThatWasDrivenByHandStaysUsed: SWF has its history, purged or not.
func TestAnIDThatWasDrivenByHandStaysUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine(t)
		nothing := func(lambdabiz.Context) error { return nil }
		if err := errors.Join(drive(t, engine, "Used", nothing), engine.Purge(t.Context(), "Used")); err != nil {
			t.Fatal(err)
		}
		if err := drive(t, engine, "Used", nothing); !errors.Is(err, lambdabiz.ErrClosed) {
			t.Error(err)
		}
	})
}
