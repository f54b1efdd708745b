package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// BenchmarkFiveSteps is orchestrations of five steps in sequence, on a server that waits for its disk.
func BenchmarkFiveSteps(b *testing.B) {
	server := standin.Start(b, standin.Config{})
	url := server.New(b)
	for _, flight := range []int{1, 32, 256} {
		b.Run(fmt.Sprint(flight, "InFlight"), func(b *testing.B) {
			backend, err := postgres.Open(b.Context(), url+"&pool_max_conns=6", home.config)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = backend.Close() }()
			engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			five := lambdabiz.Define("Five", func(o lambdabiz.Context, n int) (int, error) {
				for _, id := range []string{"a", "b", "c", "d", "e"} {
					var err error
					if n, err = lambdabiz.Step(o, id, func(context.Context) (int, error) { return n + 1, nil }); err != nil {
						return 0, err
					}
				}
				return n, nil
			})
			if err := engine.Register(five); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			all.Go(func() { _ = engine.Run(ctx) })
			numbers := make(chan int)
			b.ResetTimer()
			var clients sync.WaitGroup
			for range flight {
				clients.Go(func() {
					for n := range numbers {
						run, err := lambdabiz.Start(ctx, engine, five, fmt.Sprint(flight, "-", b.N, "-", n), n)
						if err == nil {
							_, err = run.Result(ctx)
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := range b.N {
				numbers <- n
			}
			close(numbers)
			clients.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orch/s")
			cancel()
			all.Wait()
		})
	}
}
