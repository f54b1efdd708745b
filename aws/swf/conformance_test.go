package swf_test

import (
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/backendtest"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// home is what backends of the same SWF share.
type home struct {
	server *fakeswf.Server
	store  lambdabiz.Store
}

// conformance runs the suite in bubbles, where this package and the fake have one clock, which stands still
// but for SetTime and for polls that bring nothing.
func conformance(store func() lambdabiz.Store) backendtest.Config {
	var servers sync.Map // by backend
	open := func(t *testing.T, server *fakeswf.Server, store lambdabiz.Store) lambdabiz.Backend {
		t.Helper()
		config := configFor(server)
		config.Store, config.DecisionTimeout = store, time.Hour
		b := openBackend(t, config)
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		servers.Store(b, home{server, store})
		return b
	}
	return backendtest.Config{
		Bubble: true, HomeTasks: true, Precision: 10 * time.Millisecond, Late: 2 * time.Second,
		Open: func(t *testing.T) lambdabiz.Backend {
			t.Helper()
			return open(t, newServer(t, fakeswf.Config{PollWait: time.Millisecond, Lambda: backendtest.HomeTask}), store())
		},
		Reopen: func(t *testing.T, b lambdabiz.Backend) lambdabiz.Backend {
			t.Helper()
			known, _ := servers.Load(b)
			at, ok := known.(home)
			if !ok {
				t.Fatal("the backend was not opened here")
			}
			return open(t, at.server, at.store)
		},
		SetTime: func(t *testing.T, _ lambdabiz.Backend, now time.Time) {
			t.Helper()
			<-time.After(time.Until(now))
		},
	}
}

func TestBackend(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, conformance(func() lambdabiz.Store { return nil }))
}

func TestBackendWithStore(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, conformance(func() lambdabiz.Store { return memory.NewStore() }))
}
