package homes_test

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
)

// home is a backend that the engine's tests run on.
type home struct {
	name string
	open func(t *testing.T) lambdabiz.Backend
}

var homes = []home{
	{"memory", openMemory(memory.Config{})},
	{"memory, a commit ends the claim", openMemory(memory.Config{CommitEndsClaim: true})},
	{"memory, and performs timers", openMemory(memory.Config{
		CommitEndsClaim: true, Performs: []lambdabiz.Kind{lambdabiz.KindTimer},
	})},
	{"sqlite", openSQLite},
	{"swf", openSWF},
}

// openSWF is Amazon SWF's stand-in, with a store in memory.
func openSWF(t *testing.T) lambdabiz.Backend {
	t.Helper()
	server := fakeswf.New(fakeswf.Config{ListLag: 2 * time.Second})
	b, err := swf.Open(t.Context(), swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: server.Transport()},
		},
		Store: memory.NewStore(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &closing{b, server.Close}
}

// closing is a backend on a server that ends with it.
type closing struct {
	*swf.Backend
	end func()
}

func (c *closing) Close() error {
	err := c.Backend.Close()
	c.end()
	return err
}

func openMemory(c memory.Config) func(t *testing.T) lambdabiz.Backend {
	return func(t *testing.T) lambdabiz.Backend {
		t.Helper()
		b, err := memory.NewWith(c)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// onHomes runs a test on some homes only.
func onHomes(t *testing.T, f func(t *testing.T, b *bench), names ...string) {
	t.Helper()
	t.Parallel()
	for _, h := range homes {
		for _, name := range names {
			if h.name != name {
				continue
			}
			t.Run(h.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &bench{t: t, backend: h.open(t), logs: &logbook.Book{}, ctx: t.Context()}
					defer func() {
						b.stop()
						if err := b.backend.Close(); err != nil {
							t.Error(err)
						}
					}()
					f(t, b)
				})
			})
		}
	}
}
