package goroutine

import (
	"context"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func helper(o lambdabiz.Context, id string) error { return lambdabiz.Sleep(o, id, time.Second) }

func bad(o lambdabiz.Context, in []string) error {
	for _, item := range in {
		go func() { // want "an operation is performed in a goroutine that the engine does not know"
			_ = lambdabiz.Sleep(o, item, time.Second)
		}()
	}
	go helper(o, "x") // want "in a goroutine"
	var group sync.WaitGroup
	group.Go(func() { _ = helper(o, "y") })                    // want "in a goroutine"
	time.AfterFunc(time.Second, func() { _ = helper(o, "z") }) // want "in a goroutine"
	group.Wait()
	return nil
}

func good(o lambdabiz.Context, in []int) (int, error) {
	sums := make([]int, 2)
	var group sync.WaitGroup
	for i := range sums {
		group.Go(func() { sums[i] = len(in) })
	}
	group.Wait()
	f := lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (int, error) { return 1, helper(o, "x") })
	_ = lambdabiz.Do(o, "both", func(context.Context) error {
		group.Go(func() {})
		go func() {}()
		return nil
	})
	return f.Wait(o)
}
