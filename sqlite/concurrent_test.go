package sqlite_test

import (
	"fmt"
	"sync"
	"testing"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// Many goroutines use one backend: starts of the same ids, raises, claims, ends and reads.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const goroutines, ids = 8, 20
	b := setup(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	created, ended := map[string]int{}, map[string]int{}
	for g := range goroutines {
		all.Go(func() {
			for i := range ids {
				id := fmt.Sprint(i)
				v := b.commit(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{{ID: id, RunID: fmt.Sprint(g, i), Name: "Order"}}})
				mu.Lock()
				if v.Starts[0].Created {
					created[id]++
				}
				mu.Unlock()
				if err := b.raise(lambdabiz.Raise{ID: id, Name: "A", Key: "k"}); err != nil {
					t.Errorf("raise: %v", err)
				}
				for _, run := range b.claim(2, 0).Runs {
					b.commit(&lambdabiz.Commit{Run: &run.Ref, Operations: []lambdabiz.Operation{b.operation(1)}})
					v := b.try(&lambdabiz.Commit{Run: &run.Ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
					mu.Lock()
					if v.Err == nil {
						ended[run.ID]++
					}
					mu.Unlock()
				}
				b.load(id)
			}
		})
	}
	all.Wait()
	for left := 1; left > 0; { // nobody's fault
		left = len(b.claim(1, 0).Runs)
	}
	for i := range ids {
		id := fmt.Sprint(i)
		if created[id] != 1 || ended[id] > 1 {
			t.Errorf("run %s: created %d times, ended %d times", id, created[id], ended[id])
		}
	}
	b.integrity()
}
