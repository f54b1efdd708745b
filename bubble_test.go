package lambdabiz_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// inVirtualTime runs a test in virtual time, with an engine that works on a store until the test ends. It is for the few
// tests that reach into the engine by export_test.go: all others of its behaviour are in test/homes, with a better bench.
func inVirtualTime(
	t *testing.T, open func(t *testing.T) lambdabiz.Backend, c lambdabiz.Config,
	f func(ctx context.Context, t *testing.T, e *lambdabiz.Engine), items ...lambdabiz.Registrable,
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// Virtual time passes for ever while a worker polls: a test that hangs must end.
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		store := open(t)
		c.PollInterval, c.Logger = time.Second, slog.New(slog.DiscardHandler)
		e, err := lambdabiz.New(store, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Register(items...); err != nil {
			t.Fatal(err)
		}
		if err := e.RunWhile(ctx, func(ctx context.Context) error { f(ctx, t, e); return nil }); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		broken, err := invariant.All(context.WithoutCancel(ctx), store, invariant.Options{Now: time.Now()})
		if err != nil {
			t.Error(err)
		}
		for _, b := range broken {
			t.Error(b)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func openMemory(t *testing.T) lambdabiz.Backend {
	t.Helper()
	return memory.New()
}

// openWithoutClaims opens a store on which a commit ends the claim, as on Amazon SWF.
func openWithoutClaims(t *testing.T) lambdabiz.Backend {
	t.Helper()
	b, err := memory.NewWith(memory.Config{CommitEndsClaim: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openSQLite(t *testing.T) lambdabiz.Backend {
	t.Helper()
	b, err := sqlite.Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openSWF opens Amazon SWF's stand-in, with a store in memory.
func openSWF(t *testing.T) lambdabiz.Backend {
	t.Helper()
	return openSWFWith(t, memory.NewStore())
}

func openSWFWith(t *testing.T, store lambdabiz.Store) lambdabiz.Backend {
	t.Helper()
	server := fakeswf.New(fakeswf.Config{})
	t.Cleanup(server.Close)
	b, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: server.Transport()},
		},
		Store: store, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
