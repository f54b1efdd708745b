package alarm

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rung is what has rung, and when.
type rung struct {
	mu   sync.Mutex
	keys []string
	at   []time.Duration
}

func clockOf(r *rung) *Clock[string] {
	begun := time.Now()
	return New(func(key string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keys, r.at = append(r.keys, key), append(r.at, time.Since(begun))
	})
}

func TestKeysRingAtTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rung
		c := clockOf(&r)
		begun := time.Now()
		for key, wait := range map[string]time.Duration{"late": 3 * time.Hour, "soon": time.Second, "middle": time.Minute} {
			c.Set(key, begun.Add(wait))
		}
		time.Sleep(4 * time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		if want := []string{"soon", "middle", "late"}; !slices.Equal(r.keys, want) {
			t.Errorf("%q have rung, want %q", r.keys, want)
		}
		if want := []time.Duration{time.Second, time.Minute, 3 * time.Hour}; !slices.Equal(r.at, want) {
			t.Errorf("they have rung after %v, want %v", r.at, want)
		}
	})
}

func TestTheLastTimeSetCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rung
		c := clockOf(&r)
		begun := time.Now()
		c.Set("never", begun.Add(time.Second))
		c.Set("never", time.Time{})
		c.Set("earlier", begun.Add(time.Hour))
		c.Set("earlier", begun.Add(2*time.Second))
		c.Set("later", begun.Add(3*time.Second))
		c.Set("later", begun.Add(time.Minute))
		c.Set("unknown", time.Time{})
		time.Sleep(2 * time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		if want := []string{"earlier", "later"}; !slices.Equal(r.keys, want) {
			t.Errorf("%q have rung, want %q", r.keys, want)
		}
		if want := []time.Duration{2 * time.Second, time.Minute}; !slices.Equal(r.at, want) {
			t.Errorf("they have rung after %v, want %v", r.at, want)
		}
	})
}

// One that does not return does not keep the others.
func TestAKeyThatBlocksKeepsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, rang := make(chan struct{}), make(chan string, 1)
		c := New(func(key string) {
			if key == "blocks" {
				<-release
				return
			}
			rang <- key
		})
		c.Set("blocks", time.Now().Add(time.Second))
		c.Set("other", time.Now().Add(2*time.Second))
		if got := <-rang; got != "other" {
			t.Errorf("%q has rung", got)
		}
		close(release)
	})
}

// A wait of years is looked at seldom, a short one each minute at least.
func TestSnoozeLooksAtTheWallClockAgain(t *testing.T) {
	for wait, want := range map[time.Duration]time.Duration{
		-time.Second: 0, time.Second: time.Second, time.Hour: time.Minute, 20_000 * time.Hour: 2 * time.Hour,
	} {
		if got := Snooze(wait); got != want {
			t.Errorf("of %v it sleeps %v, want %v", wait, got, want)
		}
	}
}
