package storetest_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/storetest"
)

// A store's test is one call. In a package of your own TestStore stands in store_test.go.
func ExampleRun() {
	TestStore := func(t *testing.T) {
		storetest.Run(t, storetest.Config{
			Open: func(*testing.T) lambdabiz.Store { return memory.NewStore() },
		})
	}
	_ = TestStore
	// Output:
}
