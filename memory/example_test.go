package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// A backend moves rows: what an engine does with it, by hand.
func Example() {
	ctx := context.Background()
	backend, err := memory.NewWith(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)
	start := lambdabiz.RunStart{ID: "order-7", RunID: "run-1", Name: "Order"}
	if _, err := backend.Commit(ctx, []*lambdabiz.Commit{{At: now, Starts: []lambdabiz.RunStart{start}}}); err != nil {
		fmt.Println(err)
		return
	}
	worker, err := backend.Join(ctx, lambdabiz.WorkerInfo{Names: []string{"Order"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	claims, err := backend.Claim(ctx, lambdabiz.ClaimRequest{
		Worker: worker, Names: []string{"Order"}, Limit: 10, Now: now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, run := range claims.Runs {
		fmt.Println(run.ID, run.Status, "under fence", run.Ref.Fence)
	}
	// Output: order-7 SCHEDULED under fence 1
}
