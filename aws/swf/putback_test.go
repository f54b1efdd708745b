package swf_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// failingStore fails so many calls of each kind.
type failingStore struct {
	lambdabiz.Store
	gets, kepts, puts atomic.Int64
}

var errStore = errors.New("the store does not answer")

func (s *failingStore) Get(ctx context.Context, id string) (*lambdabiz.Snapshot, error) {
	if s.gets.Add(-1) >= 0 {
		return nil, errStore
	}
	return s.Store.Get(ctx, id)
}

func (s *failingStore) Kept(ctx context.Context, id string, at time.Time) ([]lambdabiz.KeptEvent, error) {
	if s.kepts.Add(-1) >= 0 {
		return nil, errStore
	}
	return s.Store.Kept(ctx, id, at)
}

func (s *failingStore) Put(ctx context.Context, snap *lambdabiz.Snapshot) error {
	if s.puts.Add(-1) >= 0 {
		return errStore
	}
	return s.Store.Put(ctx, snap)
}

// TestADecisionTaskThatCannotBeTakenIsPutBack: its run stood still until SWF gave its holder up, and a crash was charged.
func TestADecisionTaskThatCannotBeTakenIsPutBack(t *testing.T) {
	t.Parallel()
	task := lambdabiz.NewTask("T", func(context.Context, int) (int, error) { return 7, nil })
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		for i := range 3 {
			if _, err := lambdabiz.Call(o, string(rune('a'+i)), task, 0); err != nil {
				return 0, err
			}
		}
		return 7, nil
	})
	for name, fail := range map[string]func(s *failingStore, history *atomic.Int64){
		"the store's get":            func(s *failingStore, _ *atomic.Int64) { s.gets.Store(1) },
		"the store's events":         func(s *failingStore, _ *atomic.Int64) { s.kepts.Store(1) },
		"the store's put":            func(s *failingStore, _ *atomic.Int64) { s.puts.Store(1) },
		"the store, for half a min.": func(s *failingStore, _ *atomic.Int64) { s.gets.Store(8) },
		"the store, for long":        func(s *failingStore, _ *atomic.Int64) { s.gets.Store(16) },
		"the history":                func(_ *failingStore, history *atomic.Int64) { history.Store(2) },
		"the history, for long":      func(_ *failingStore, history *atomic.Int64) { history.Store(12) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &failingStore{Store: memory.NewStore()}
				var history atomic.Int64
				server := newServer(t, fakeswf.Config{Limits: fakeswf.Limits{PageSize: 2}, Fault: func(c fakeswf.Call) fakeswf.Fault {
					lost := c.Action == "PollForDecisionTask" && isPage(c.Body) && history.Add(-1) >= 0
					return fakeswf.Fault{Throttle: lost}
				}})
				config := configFor(server)
				config.Store = store.Store
				starter := client(t, config)
				if err := starter.Register(d); err != nil {
					t.Fatal(err)
				}
				run, err := lambdabiz.Start(t.Context(), starter.Engine, d, "R", 0)
				if err != nil {
					t.Fatal(err)
				}
				fail(store, &history)
				config.Store = store
				client(t, config).workOn(d, task)
				if out := result(t, server, starter.Engine, run, "R"); out != 7 {
					t.Error("the result is", out)
				}
				if n := countOf(wantSound(t, server, "R"), types.EventTypeDecisionTaskTimedOut); n > 0 {
					t.Errorf("%d decision tasks were left to their time-outs", n)
				}
			})
		})
	}
}

// isPage reports whether a poll only asks for the next page of a task's history.
func isPage(body []byte) bool { return bytes.Contains(body, []byte(`"nextPageToken"`)) }

// TestACopyThatWasNotWrittenIsWrittenAgain: the state went on waiting for what was over, for as long as the run waited.
func TestACopyThatWasNotWrittenIsWrittenAgain(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		if _, err := lambdabiz.WaitForEvent[int](o, "first"); err != nil {
			return 0, err
		}
		return 7, lambdabiz.Sleep(o, "month", 30*24*time.Hour)
	})
	for name, dies := range map[string]bool{"by who wrote it": false, "by who reads it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &failingStore{Store: memory.NewStore()}
				server := newServer(t, fakeswf.Config{})
				config := configFor(server)
				config.Store = store
				p := client(t, config).workOn(d)
				config.Store = store.Store
				reader := client(t, config)
				if _, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Minute)
				store.puts.Store(3)
				if err := p.RaiseEvent(t.Context(), "R", "first", 1); err != nil {
					t.Fatal(err)
				}
				if dies {
					<-time.After(100 * time.Millisecond)
					p.stop()
				}
				<-time.After(5 * time.Minute)
				snap, err := store.Store.Get(t.Context(), "R")
				if err != nil {
					t.Fatal(err)
				}
				if !dies && len(snap.Operations) != 2 {
					t.Errorf("the store has %d operations", len(snap.Operations))
				}
				s := lookAt(t, reader.Engine, "R")
				if len(s.WaitingFor) != 1 || s.WaitingFor[0].Operation != "month" {
					t.Errorf("it waits for %+v", s.WaitingFor)
				}
			})
		})
	}
}
