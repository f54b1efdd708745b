package swf

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestATaskIsNotKeptFromAnAskerThatWaits: a poll that was begun for one asker, who leaves as it ends, serves the next
// one. It was put aside, and the one who waited got it after a poll of a minute.
func TestATaskIsNotKeptFromAnAskerThatWaits(t *testing.T) {
	t.Parallel()
	for range 50 { // whether an asker sees its answer first, or its end, is left to chance
		synctest.Test(t, func(t *testing.T) {
			l := &polls[task]{life: newLifetime(), most: 1, polling: 1}
			first, leave := context.WithCancel(t.Context())
			second, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			got := make(chan *task, 2)
			ask := func(ctx context.Context) {
				if x, err := l.next(ctx); err == nil {
					got <- x
				}
			}
			go ask(first)
			synctest.Wait()
			go ask(second)
			synctest.Wait()
			l.mu.Lock()
			leave()
			l.giveLocked(polled[task]{task: &task{}})
			l.mu.Unlock()
			synctest.Wait()
			if len(got) != 1 {
				t.Errorf("%d askers have the task, and %d tasks lie aside", len(got), len(l.ready))
			}
		})
	}
}
