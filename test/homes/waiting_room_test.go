package homes_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
)

// looked is a store that counts how often clients look, and may answer nobody.
type looked struct {
	*memory.Backend
	infos, asked atomic.Int64
	down, mute   atomic.Bool // mute: but for what clients ask together
}

var errDown = errors.New("the store is down")

func (s *looked) Info(ctx context.Context, id, runID string) (*lambdabiz.RunInfo, error) {
	s.infos.Add(1)
	if s.down.Load() {
		return nil, errDown
	}
	return s.Backend.Info(ctx, id, runID)
}

func (s *looked) Ended(ctx context.Context, runs []lambdabiz.RunRef) ([]bool, error) {
	s.asked.Add(1)
	if s.down.Load() || s.mute.Load() {
		return nil, errDown
	}
	return s.Backend.Ended(ctx, runs)
}

// A thousand clients that wait ask with one question, and each reads its run once, when that has ended.
func TestAThousandClientsThatWaitAskTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients = 1000
		store := &looked{Backend: memory.New()}
		b := &bench{t: t, backend: store.Backend, logs: &logbook.Book{}, ctx: t.Context()}
		defer b.stop()
		d := define(func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "e") })
		b.worker(d)
		b.backend = store
		client := b.engine(lambdabiz.Config{PollInterval: 200 * time.Millisecond})
		var all sync.WaitGroup
		var late atomic.Int64
		var raised time.Time
		for i := range clients {
			run := start(b, client, d, fmt.Sprint("x", i), 0)
			all.Go(func() {
				if v, err := run.Result(b.ctx); err != nil || v != 7 {
					t.Errorf("result %d, %v", v, err)
				}
				late.Store(max(late.Load(), int64(time.Since(raised))))
			})
		}
		time.Sleep(time.Minute)
		infos, asked := store.infos.Load(), store.asked.Load()
		time.Sleep(time.Minute)
		if n := store.infos.Load() - infos; n > 3*clients {
			t.Errorf("%d reads of runs in a minute", n)
		}
		if n := store.asked.Load() - asked; n > 310 {
			t.Errorf("%d questions in a minute", n)
		}
		infos = store.infos.Load()
		raised = time.Now()
		for i := range clients {
			if err := client.RaiseEvent(b.ctx, fmt.Sprint("x", i), "e", 7); err != nil {
				t.Fatal(err)
			}
		}
		all.Wait()
		if n := store.infos.Load() - infos; n > 2*clients {
			t.Errorf("%d reads of %d runs that have ended", n, clients)
		}
		if d := time.Duration(late.Load()); d > time.Second {
			t.Errorf("a client was told after %v", d)
		}
	})
}

// Clients that have come one after the other look for themselves one after the other. That is no reason to ask more often.
func TestClientsThatWaitForLongAreAskedForSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients = 300
		store := &looked{Backend: memory.New()}
		b := &bench{t: t, backend: store.Backend, logs: &logbook.Book{}, ctx: t.Context()}
		defer b.stop()
		d := define(func(o lambdabiz.Context) (int, error) { return lambdabiz.WaitForEvent[int](o, "e") })
		b.worker(d)
		b.backend = store
		client := b.engine(lambdabiz.Config{PollInterval: 200 * time.Millisecond})
		ctx, cancel := context.WithCancel(b.ctx)
		var all sync.WaitGroup
		for i := range clients {
			run := start(b, client, d, fmt.Sprint("x", i), 0)
			all.Go(func() {
				if _, err := run.Result(ctx); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			time.Sleep(time.Minute / clients)
		}
		for _, mute := range []bool{false, true} {
			store.mute.Store(mute) // then all look for themselves
			time.Sleep(time.Minute)
			store.infos.Store(0)
			store.asked.Store(0)
			time.Sleep(time.Minute)
			if n := store.asked.Load(); n > 310 {
				t.Errorf("mute %v: %d questions in a minute", mute, n)
			}
			if n := store.infos.Load(); n > 310*clients || !mute && n > 3*clients {
				t.Errorf("mute %v: %d reads of runs in a minute", mute, n)
			}
		}
		cancel()
		all.Wait()
	})
}

// With nobody else on the store there is nothing to look for: a wait of a hundred years costs next to nothing.
func TestAClientThatWaitsForAHundredYearsLooksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &looked{Backend: memory.New()}
		b := &bench{t: t, backend: store, logs: &logbook.Book{}, ctx: t.Context()}
		defer b.stop()
		d := define(func(lambdabiz.Context) (int, error) { return 7, nil })
		run := start(b, b.engine(lambdabiz.Config{PollInterval: -1}), d, "x", 0) // there is no worker
		ctx, cancel := context.WithTimeout(b.ctx, 100*365*24*time.Hour)
		defer cancel()
		if _, err := run.Result(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n := store.infos.Load() + store.asked.Load(); n > 100 {
			t.Errorf("it asked %d times", n)
		}
	})
}

// Whoever waits hears of a store that answers nobody, of a run that was purged, and goes on with the run that continues its own.
func TestWhoWaitsIsToldWhatElseThereIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &looked{Backend: memory.New()}
		b := &bench{t: t, backend: store.Backend, logs: &logbook.Book{}, ctx: t.Context()}
		defer b.stop()
		d := lambdabiz.Define("D", func(o lambdabiz.Context, n int) (int, error) {
			if _, err := lambdabiz.WaitForEvent[int](o, "e"); err != nil {
				return 0, err
			}
			if n < 3 {
				return 0, lambdabiz.ContinueAsNew(o, n+1)
			}
			return n, nil
		})
		b.worker(d)
		b.backend = store
		client := b.engine(lambdabiz.Config{PollInterval: 200 * time.Millisecond})
		run := start(b, client, d, "x", 1)
		results := make(chan error, 1)
		wait := func() {
			v, err := run.Result(b.ctx)
			if err == nil && v != 3 {
				err = fmt.Errorf("result is %d", v)
			}
			results <- err
		}
		go wait()
		time.Sleep(time.Second)
		store.down.Store(true)
		if err := <-results; !errors.Is(err, errDown) {
			t.Errorf("with a store that is down: %v", err)
		}
		store.down.Store(false)
		go wait()
		for range 3 {
			time.Sleep(time.Second)
			if err := client.RaiseEvent(b.ctx, "x", "e", 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-results; err != nil {
			t.Errorf("of a chain: %v", err)
		}
		if err := client.Purge(b.ctx, "x"); err != nil {
			t.Fatal(err)
		}
		go wait()
		if err := <-results; !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("of a run that was purged: %v", err)
		}
	})
}
