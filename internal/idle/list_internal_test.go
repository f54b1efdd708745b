package idle

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gone is what was let go.
type gone struct {
	mu   sync.Mutex
	keys []string
}

func (g *gone) add(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = append(g.keys, key)
}

func (g *gone) take() []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := slices.Sorted(slices.Values(g.keys))
	g.keys = nil
	return keys
}

func (g *gone) want(t *testing.T, when string, keys ...string) {
	t.Helper()
	if got := g.take(); !slices.Equal(got, keys) {
		t.Errorf("%s %q are let go, want %q", when, got, keys)
	}
}

func TestWhatIsIdleForLongIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gone
		l := New(Limits{After: time.Minute, Budget: 100}, g.add)
		l.Add("old", time.Time{}, 1)
		l.Add("wakes soon", time.Now().Add(65*time.Second), 1)
		l.Add("woken", time.Time{}, 1)
		time.Sleep(30 * time.Second)
		l.Remove("woken")
		l.Add("new", time.Time{}, 1)
		time.Sleep(35 * time.Second)
		g.want(t, "after a minute", "old")
		time.Sleep(30 * time.Second)
		g.want(t, "after another half", "new")
	})
}

func TestWhatIsOverTheBudgetIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gone
		l := New(Limits{After: time.Hour, Budget: 10}, g.add)
		l.Add("a", time.Now().Add(time.Second), 4) // it wakes soon, and stays
		l.Add("b", time.Time{}, 4)
		g.want(t, "within the budget")
		l.Add("c", time.Time{}, 4)
		g.want(t, "over it", "b")
		l.Resize("c", 7)
		l.Resize("unknown", 100)
		g.want(t, "when one has grown", "c")
		l.Remove("a")
		l.Add("d", time.Time{}, 10)
		g.want(t, "when all others have left")
	})
}

func TestRoomIsMadeByTheLongestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gone
		l := New(Limits{After: time.Hour, Budget: 100}, g.add)
		l.Add("a", time.Now().Add(time.Second), 1)
		l.Add("b", time.Time{}, 1)
		l.Add("a", time.Time{}, 1) // again: b is idle for longer
		l.MakeRoom(1)
		g.want(t, "for one", "b")
		l.MakeRoom(3)
		g.want(t, "for three", "a")
		l.Add("c", time.Time{}, 1)
		g.want(t, "as soon as it is idle", "c")
		l.MakeRoom(0)
		l.Add("d", time.Time{}, 1)
		g.want(t, "when none is wanted any more")
	})
}
