package backendtest_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/memory"
)

// A backend's test is one call. In a package of your own TestBackend stands in backend_test.go.
func ExampleRun() {
	TestBackend := func(t *testing.T) {
		backendtest.Run(t, backendtest.Config{
			Open: func(*testing.T) lambdabiz.Backend {
				b := memory.New()
				return b
			},
		})
	}
	_ = TestBackend
	// Output:
}
