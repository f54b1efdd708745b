package homes_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// A worker beats as often as its own lease needs. One with a shorter lease must not take it for dead.
func TestAWorkerWithAShorterLeaseBuriesNobody(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		var bodies atomic.Int64
		d := define(func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Step(o, "long", func(context.Context) (int, error) {
				bodies.Add(1)
				time.Sleep(10 * time.Minute)
				return 1, nil
			})
		})
		patient, _ := b.workerWith(lambdabiz.Config{Lease: 2 * time.Minute}, d)
		run := start(b, patient, d, "x", 0)
		b.settle()
		b.workerWith(lambdabiz.Config{Lease: 2 * time.Second}, d)
		if got := result(b, run); got != 1 {
			t.Errorf("result is %d", got)
		}
		if n := bodies.Load(); n != 1 {
			t.Errorf("the body ran %d times", n)
		}
		workers, err := patient.Workers(b.ctx)
		if err != nil || len(workers) != 2 || workers[0].Lease != 2*time.Minute || workers[1].Lease != 2*time.Second {
			t.Errorf("workers: %+v, %v", workers, err)
		}
	}, "memory", "sqlite")
}

func TestALeaseThatIsTooShortIsRefused(t *testing.T) {
	t.Parallel()
	for lease, fine := range map[time.Duration]bool{
		0: true, time.Second: true, time.Second - 1: false, time.Nanosecond: false, -time.Second: false,
	} {
		_, err := lambdabiz.New(memory.New(), lambdabiz.Config{Lease: lease})
		if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "Lease") {
			t.Errorf("a lease of %v: %v", lease, err)
		}
	}
}
