package lambdabiz_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// manyOf does one thing of a kind, the i-th of many in one orchestration.
var manyOf = map[string]func(o lambdabiz.Context, id string) error{
	"steps": benchStep,
	"branches": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 0, benchStep(o, "s") }).Wait(o)
		return err //nolint:wrapcheck // it names the operation
	},
	"races": func(o lambdabiz.Context, id string) error {
		first := lambdabiz.Go(o, "a"+id, func(o lambdabiz.Context) (int, error) { return 0, benchStep(o, "s") })
		second := lambdabiz.Go(o, "b"+id, func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "never") })
		_, err := lambdabiz.Race(o, "r"+id, first, second)
		return err //nolint:wrapcheck // it names the operation
	},
	"events": func(o lambdabiz.Context, id string) error {
		if _, err := lambdabiz.WaitForEvent[int](o, id, lambdabiz.Named("e")); err != nil {
			return err //nolint:wrapcheck // it names the operation
		}
		return benchStep(o, "handle-"+id) // else they would all wait for one commit
	},
	"children": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.CallChild(o, id, benchChild, 1)
		return err //nolint:wrapcheck // it names the operation
	},
	"timers": func(o lambdabiz.Context, id string) error { return lambdabiz.Sleep(o, id, time.Microsecond) },
}

var benchChild = lambdabiz.Define("BenchChild", func(_ lambdabiz.Context, n int) (int, error) { return n, nil })

func benchStep(o lambdabiz.Context, id string) error {
	return lambdabiz.Do(o, id, func(context.Context) error { return nil })
}

// benchMany is an orchestration of many of a kind, one after the other. It notes the CPU time that the process has
// used before each tenth.
func benchMany(kind string, tenths *[]time.Duration) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define("Many", func(o lambdabiz.Context, n int) (int, error) {
		if _, err := lambdabiz.WaitForEvent[int](o, "go"); err != nil {
			return 0, err
		}
		for i := range n {
			if tenths != nil && i%(n/10) == 0 {
				*tenths = append(*tenths, cpuTime())
			}
			if err := manyOf[kind](o, strconv.Itoa(i)); err != nil {
				return 0, err
			}
		}
		if tenths != nil {
			*tenths = append(*tenths, cpuTime())
		}
		return n, nil
	})
}

// begin starts an orchestration of many, with its events in it.
func (m benchCrowd) begin(id string, n int) *lambdabiz.Run[int] {
	m.b.Helper()
	run, err := lambdabiz.Start(m.b.Context(), m.e, m.d, id, n)
	for i := 0; err == nil && m.kind == "events" && i < n; i++ {
		err = m.e.RaiseEvent(m.b.Context(), id, "e", i)
	}
	if err == nil {
		err = m.e.RaiseEvent(m.b.Context(), id, "go", 0)
	}
	if err != nil {
		m.b.Fatal(err)
	}
	return run
}

type benchCrowd struct {
	b    *testing.B
	kind string
	e    *lambdabiz.Engine
	d    *lambdabiz.Definition[int, int]
}

// onMany runs f on a worker in memory that knows an orchestration of many of a kind.
func onMany(b *testing.B, kind string, tenths *[]time.Duration, f func(m benchCrowd)) {
	b.Helper()
	e := benchEngine(b, benchBackend(b, "memory"), lambdabiz.Config{MemoryBudget: 1 << 40})
	m := benchCrowd{b: b, kind: kind, e: e, d: benchMany(kind, tenths)}
	if err := e.Register(m.d, benchChild); err != nil {
		b.Fatal(err)
	}
	err := e.RunWhile(b.Context(), func(context.Context) error {
		f(m)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func benchKinds() []string {
	kinds := make([]string, 0, len(manyOf))
	for kind := range manyOf {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// BenchmarkGrowth is one orchestration of very many steps, branches, races, buffered events, children or timers, one
// after the other. Its growth is the CPU time of the last tenth over that of the first: 1 when what has been costs
// nothing. Its end is what comes after the last one over what the first tenth took: with the last commit, which has all
// that nobody waited for.
func BenchmarkGrowth(b *testing.B) {
	for _, kind := range benchKinds() {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				var tenths []time.Duration
				onMany(b, kind, &tenths, func(m benchCrowd) {
					var first, last, end time.Duration
					rounds := 0
					for b.Loop() {
						rounds++
						tenths = tenths[:0]
						if _, err := m.begin(strconv.Itoa(rounds), n).Result(b.Context()); err != nil {
							b.Fatal(err)
						}
						first += tenths[1] - tenths[0]
						last += tenths[10] - tenths[9]
						end += cpuTime() - tenths[10]
					}
					b.ReportMetric(float64(last)/float64(max(first, 1)), "growth")
					b.ReportMetric(float64(end)/float64(max(first, 1)), "end")
					b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rounds*n), "µs/each")
				})
			})
		}
	}
}

// BenchmarkSmallBeside is a small orchestration of five tasks: alone, and beside one of 10,000 of a kind, that begins
// anew when it has ended.
func BenchmarkSmallBeside(b *testing.B) {
	for _, kind := range append([]string{"nothing"}, benchKinds()...) {
		b.Run(kind, func(b *testing.B) {
			onMany(b, kind, nil, func(m benchCrowd) {
				ctx, stop := context.WithCancel(b.Context())
				defer stop()
				over := make(chan struct{})
				begun := make(chan struct{})
				go func() {
					defer close(over)
					for i := 0; ctx.Err() == nil && kind != "nothing"; i++ {
						run := m.begin(fmt.Sprint("huge-", i), 10_000)
						if i == 0 {
							close(begun)
						}
						if _, err := run.Result(ctx); err != nil && ctx.Err() == nil {
							b.Error(err)
							return
						}
					}
				}()
				if kind != "nothing" {
					<-begun
				}
				var took []time.Duration
				for i := 0; b.Loop(); i++ {
					began := time.Now()
					benchRun(b, m.e, fmt.Sprint("small-", i), benchInput{N: 5})
					took = append(took, time.Since(began))
				}
				stop()
				<-over
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			})
		})
	}
}
