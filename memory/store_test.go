package memory_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) lambdabiz.Store {
			s := memory.NewStore()
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		},
	})
}

func TestStoreAfterClose(t *testing.T) {
	t.Parallel()
	s := memory.NewStore()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); err == nil {
		t.Error("Get after Close: no error")
	}
}
