package lambdabiz_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

type benchValue struct {
	Number1, Number2 int
	Result           float64
}

var benchTask = lambdabiz.NewTask("Add", func(_ context.Context, v benchValue) (benchValue, error) {
	v.Result += float64(v.Number2)
	return v, nil
})

// benchChain is n chained tasks. Before the last one, if told to, it waits for an event.
var benchChain = lambdabiz.Define("Chain", func(o lambdabiz.Context, in struct {
	N     int
	Waits bool
}) (benchValue, error) {
	v := benchValue{Number1: 15, Number2: 5}
	for i := range in.N {
		var err error
		if v, err = lambdabiz.Call(o, strconv.Itoa(i), benchTask, v); err != nil {
			return v, err
		}
	}
	if in.Waits {
		return lambdabiz.WaitForEvent[benchValue](o, "Go")
	}
	return v, nil
})

type benchInput = struct {
	N     int
	Waits bool
}

// benchHomes runs f on a worker of each home.
func benchHomes(b *testing.B, f func(b *testing.B, backend lambdabiz.Backend, e *lambdabiz.Engine)) {
	b.Helper()
	for _, home := range []string{"memory", "sqlite"} {
		b.Run(home, func(b *testing.B) {
			backend := benchBackend(b, home)
			e := benchEngine(b, backend, lambdabiz.Config{})
			err := e.RunWhile(b.Context(), func(context.Context) error {
				f(b, backend, e)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchBackend(b *testing.B, home string) lambdabiz.Backend {
	b.Helper()
	var backend lambdabiz.Backend
	var err error
	if home == "memory" {
		backend = memory.New()
	} else {
		backend, err = sqlite.Open(filepath.Join(b.TempDir(), "bench.db"))
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := backend.Close(); err != nil {
			b.Error(err)
		}
	})
	return backend
}

// lasting is a backend that an engine does not close.
type lasting struct{ lambdabiz.Backend }

func (lasting) Close() error { return nil }

func (l lasting) Wake() <-chan struct{} { return l.Backend.(lambdabiz.Waker).Wake() }

func benchEngine(b *testing.B, backend lambdabiz.Backend, c lambdabiz.Config) *lambdabiz.Engine {
	b.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := lambdabiz.New(lasting{backend}, c)
	if err == nil {
		err = e.Register(benchChain, benchTask)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return e
}

func benchRun(b *testing.B, e *lambdabiz.Engine, id string, in benchInput) {
	b.Helper()
	run, err := lambdabiz.Start(b.Context(), e, benchChain, id, in)
	if err == nil {
		_, err = run.Result(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSequence is one orchestration of five tasks after the other.
func BenchmarkSequence(b *testing.B) {
	benchHomes(b, func(b *testing.B, _ lambdabiz.Backend, e *lambdabiz.Engine) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			benchRun(b, e, strconv.Itoa(i), benchInput{N: 5})
		}
	})
}

// BenchmarkOperationRecorded is one task in a long orchestration: its body, and its own commit.
func BenchmarkOperationRecorded(b *testing.B) {
	benchHomes(b, func(b *testing.B, _ lambdabiz.Backend, e *lambdabiz.Engine) {
		b.ReportAllocs()
		b.ResetTimer()
		benchRun(b, e, "long", benchInput{N: b.N})
	})
}

// BenchmarkResume is an orchestration of 10,000 recorded operations that an event wakes: it is claimed, loaded
// and runs again to its end; each/s counts operations that are returned from the record.
func BenchmarkResume(b *testing.B) {
	const operations = 10_000
	for _, home := range []string{"memory", "sqlite"} {
		b.Run(home, func(b *testing.B) {
			backend := benchBackend(b, home)
			seed := benchEngine(b, backend, lambdabiz.Config{})
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				id := fmt.Sprintf("long-%d", i)
				benchRecorded(b, seed, id, operations)
				e := benchEngine(b, backend, lambdabiz.Config{})
				if err := e.RaiseEvent(b.Context(), id, "Go", benchValue{}); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				err := e.RunWhile(b.Context(), func(ctx context.Context) error {
					_, err := lambdabiz.Get(e, benchChain, id).Result(ctx)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(operations)*float64(b.N)/b.Elapsed().Seconds(), "each/s")
		})
	}
}

// benchRecorded leaves an orchestration that has recorded its operations and waits, and no worker.
func benchRecorded(b *testing.B, e *lambdabiz.Engine, id string, operations int) {
	b.Helper()
	err := e.RunWhile(b.Context(), func(ctx context.Context) error {
		if _, err := lambdabiz.Start(ctx, e, benchChain, id, benchInput{N: operations, Waits: true}); err != nil {
			return err
		}
		for {
			s, err := e.State(ctx, id)
			if err != nil || len(s.Operations) > operations {
				return err
			}
			<-time.After(10 * time.Millisecond)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}
