package delay

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestThingsComeUpAfterTheDelayInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex
		var got []string
		q := New(5*time.Millisecond, func(v string, since time.Time) {
			if wait := time.Since(since); wait < 5*time.Millisecond || wait > 6*time.Millisecond {
				t.Errorf("%s has come up after %v", v, wait)
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, v)
		})
		q.Add("a", begun)
		q.Add("b", begun)
		time.Sleep(3 * time.Millisecond)
		q.Add("c", time.Now())
		synctest.Wait()
		mu.Lock()
		if len(got) > 0 {
			t.Errorf("%q have come up early", got)
		}
		mu.Unlock()
		time.Sleep(time.Second)
		q.Add("d", time.Now()) // after the queue was empty
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
			t.Errorf("%q have come up, want %q", got, want)
		}
	})
}
