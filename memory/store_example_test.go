package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// A store keeps the newest of what it is given, in whatever order it comes.
func ExampleNewStore() {
	ctx := context.Background()
	store := memory.NewStore()
	start := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, event := range []int64{1, 7, 3} {
		s := &lambdabiz.Snapshot{Version: lambdabiz.SnapshotVersion{Start: start, Event: event}}
		s.ID, s.RunID, s.Name, s.Status, s.ScheduledAt = "order-7", "run-1", "Order", lambdabiz.StatusStarted, start
		if err := store.Put(ctx, s); err != nil {
			fmt.Println(err)
			return
		}
	}
	s, err := store.Get(ctx, "order-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.ID, s.Status, "as of event", s.Version.Event)
	// Output: order-7 STARTED as of event 7
}
