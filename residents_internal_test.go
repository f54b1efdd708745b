package lambdabiz

import (
	"fmt"
	"testing"
)

// Who begins to wait for the result of an id, and who stops, costs the same however many others wait for it.
func BenchmarkWatchersOfOneID(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newResidents(1, 1, false)
			waiting := make([]*watcher, n)
			for b.Loop() {
				for i := range waiting {
					waiting[i] = m.watch("order-7")
				}
				for _, w := range waiting {
					w.stop()
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N*n), "ns/watcher")
			if len(m.watchers) != 0 {
				b.Errorf("%d ids are watched", len(m.watchers))
			}
		})
	}
}
