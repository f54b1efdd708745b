package lambdabiz_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// A timer that is due is not starved by starts that keep coming faster than they are done.
func TestATimerUnderLoadOfStarts(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		timer := lambdabiz.Define("T", func(o lambdabiz.Context, _ int) (int, error) {
			return 1, lambdabiz.Sleep(o, "s", 30*time.Second)
		})
		work := lambdabiz.Define("W", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "x", func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil })
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: 1, ParkAfter: time.Second}, timer, work)
		client := b.engine(lambdabiz.Config{}, timer, work)
		start(b, e, timer, "t", 1)
		time.Sleep(5 * time.Second) // it is parked
		for i := range 400 {
			start(b, client, work, fmt.Sprint("w", i), 1)
			time.Sleep(500 * time.Millisecond)
		}
		s := b.state(client, "t")
		if !s.Status.Ended() {
			t.Errorf("the timer of 30 s has not fired after %v, due %v", time.Since(s.ScheduledAt), operation(t, s, "s").DueAt)
		}
	}, "memory", "sqlite")
}
