package homes_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func TestYearOfTimersWithRestartsRunsInVirtualTime(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.ctx = t.Context() // the year is longer than the time that a test may take else
		d := lambdabiz.Define("Year", func(o lambdabiz.Context, weeks int) (int, error) {
			for i := range weeks {
				if err := lambdabiz.Sleep(o, fmt.Sprint("week-", i), 7*24*time.Hour); err != nil {
					return i, err
				}
			}
			return weeks, nil
		})
		config := lambdabiz.Config{PollInterval: -1} // nobody else uses the store
		e, stop := b.workerWith(config, d)
		began := time.Now()
		start(b, e, d, "y", 52)
		for range 12 {
			time.Sleep(20*24*time.Hour + 5*time.Minute)
			stop()
			e, stop = b.workerWith(config, d)
		}
		if got := result(b, lambdabiz.Get(e, d, "y")); got != 52 {
			t.Errorf("result is %d", got)
		}
		late := time.Since(began) - 52*7*24*time.Hour
		if late < 0 || late > time.Minute {
			t.Errorf("the year ended %v late", late)
		}
		for _, o := range b.state(e, "y").Operations {
			if o.EndedAt.Before(o.DueAt) || o.Attempts != 1 {
				t.Errorf("%s was due at %v and ended at %v, attempts %d", o.ID, o.DueAt, o.EndedAt, o.Attempts)
			}
		}
	}, notOnSWF("a year of its polls is half a million"), bears(5, countsTime))
}
