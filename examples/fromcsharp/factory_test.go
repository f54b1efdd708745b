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

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/factory"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// withKeys is new AWSOrchestrationFactory(awsAccessKey, awsSecretAccessKey, awsRegion, true, lambdaRole).
func withKeys(ctx context.Context, key, secret, region, lambdaRole string) (*lambdabiz.Engine, error) {
	return factory.Open(ctx, factory.Config{
		AccessKey: key, SecretKey: secret, Region: region, Persist: true, LambdaRole: lambdaRole,
	})
}

// withDefaults is new AWSOrchestrationFactory(false, lambdaRole): credentials and region are those of the environment,
// the shared files or the machine's role.
func withDefaults(ctx context.Context, lambdaRole string) (*lambdabiz.Engine, error) {
	return factory.Open(ctx, factory.Config{LambdaRole: lambdaRole})
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
	if err := drive(t, engine, "Defaults", func(lambdabiz.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestTheDocumentedProgramRunsWithoutAStore as it stands, as the original's did; an id that has ended is closed.
func TestTheDocumentedProgramRunsWithoutAStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := engineOn(t, onSWF(t, fake(t, fakeswf.Config{ListLag: time.Second}), nil))
		nothing := func(lambdabiz.Context) error { return nil }
		if err := drive(t, engine, "Free", nothing); err != nil {
			t.Fatal(err)
		}
		for _, options := range [][]lambdabiz.StartOption{nil, {lambdabiz.OnUsedID(lambdabiz.RestartEnded)}} {
			again, err := engine.Create(t.Context(), "Free")
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Start(nil, options...); !errors.Is(err, lambdabiz.ErrClosed) {
				t.Errorf("the second start by hand: %v", err)
			}
		}
		never, err := engine.Create(t.Context(), "Never")
		if err != nil {
			t.Fatal(err)
		}
		var unsupported *lambdabiz.UnsupportedError
		if err := never.Start(nil, lambdabiz.OnUsedID(lambdabiz.RejectExisting)); !errors.As(err, &unsupported) {
			t.Errorf("a policy that must know ids for ever: %v", err)
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
