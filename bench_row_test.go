package lambdabiz_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// benchRow is n branches of which each waits for the one before it, does a step, and ends.
var benchRow = lambdabiz.Define("Row", func(o lambdabiz.Context, n int) (int, error) {
	var last *lambdabiz.Future[int]
	for i := range n {
		before := last
		last = lambdabiz.Go(o, fmt.Sprint(i), func(o lambdabiz.Context) (int, error) {
			if before == nil {
				return 1, lambdabiz.Sleep(o, "begin", 10*time.Millisecond) // until all others wait
			}
			sum, err := before.Wait(o)
			if err != nil {
				return 0, err //nolint:wrapcheck // it names the operation
			}
			return sum + 1, benchStep(o, "s")
		})
	}
	return last.Wait(o)
})

// BenchmarkRow is an orchestration of branches that wait for each other in a row: what each costs does not grow with
// their number.
func BenchmarkRow(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := benchEngine(b, benchBackend(b, "memory"), lambdabiz.Config{})
			if err := e.Register(benchRow); err != nil {
				b.Fatal(err)
			}
			err := e.RunWhile(b.Context(), func(ctx context.Context) error {
				for i := 0; b.Loop(); i++ {
					run, err := lambdabiz.Start(ctx, e, benchRow, fmt.Sprint("row-", i), n)
					if err != nil {
						return err
					}
					if out, err := run.Result(ctx); err != nil || out != n {
						return fmt.Errorf("it gave %d: %w", out, err)
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/each")
		})
	}
}
