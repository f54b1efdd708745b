package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// Two callers want to start one id: the store lets one of them.
func ExampleOpenStore() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.OpenStore(filepath.Join(dir, "store.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	for _, runID := range []string{"run-1", "run-2"} {
		s := &lambdabiz.Snapshot{}
		s.ID, s.RunID, s.Status = "order-7", runID, lambdabiz.StatusScheduled
		fmt.Println(runID, store.Reserve(context.Background(), s, ""))
	}
	// Output:
	// run-1 <nil>
	// run-2 sqlite: reserve order-7: newer messages have arrived: its run is "run-1"
}
