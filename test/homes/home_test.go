package homes_test

import (
	"hash/fnv"
	"log/slog"
	"net/http"
	"os"
	"strings"
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
	"github.com/lambdabiz/lambdabiz/postgres"
)

// home is a backend that the engine's tests run on.
type home struct {
	name string
	// prepare is called outside of the bubble, and returns what opens the backend within.
	prepare func(t *testing.T) func(t *testing.T) lambdabiz.Backend
}

var homes = append(always, inThePortableMode()...)

// inThePortableMode is PostgreSQL in its portable mode, when the tests are to run on it: "make portable" does that.
func inThePortableMode() []home {
	if os.Getenv("LAMBDABIZ_POSTGRES_PORTABLE") != "1" {
		return nil
	}
	return []home{{"postgres, portable", tables(postgres.Config{Portable: true})}}
}

var always = []home{
	{"memory", inBubble(openMemory(memory.Config{}))},
	{"memory, a commit ends the claim", inBubble(openMemory(memory.Config{CommitEndsClaim: true}))},
	{"memory, and performs timers", inBubble(openMemory(memory.Config{
		CommitEndsClaim: true, Performs: []lambdabiz.Kind{lambdabiz.KindTimer},
	}))},
	{"sqlite", inBubble(openSQLite)},
	{"swf", inBubble(openSWF)},
	{"postgres", tables(postgres.Config{})},
}

// takes reports whether the home runs a test of everywhere. A real server takes much longer than what is in the process: it gets
// one of eight, by their names, and those that compare homes, unless all are asked for ("make postgres").
func (h *home) takes(test string) bool {
	if h.name != "postgres" || strings.HasSuffix(test, "OnEveryHome") || os.Getenv("LAMBDABIZ_POSTGRES_SUITE") == "all" {
		return true
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(test))
	return sum.Sum32()%8 == 0
}

// inBubble is for a home that needs nothing from outside of it.
func inBubble(open func(t *testing.T) lambdabiz.Backend) func(t *testing.T) func(t *testing.T) lambdabiz.Backend {
	return func(*testing.T) func(t *testing.T) lambdabiz.Backend { return open }
}

// open opens the home.
func (h *home) open(t *testing.T) lambdabiz.Backend {
	t.Helper()
	return h.prepare(t)(t)
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
			if h.name != name && h.name != name+", portable" {
				continue
			}
			t.Run(h.name, func(t *testing.T) {
				open := h.prepare(t)
				synctest.Test(t, func(t *testing.T) {
					b := &bench{t: t, backend: open(t), logs: &logbook.Book{}, ctx: t.Context()}
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
