package lambdabiz

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/batch"
	"github.com/lambdabiz/lambdabiz/internal/spare"
)

// moodyBackend commits slowly, and fails or panics over some batches as a whole and over some commits alone. It
// says in a commit's verdict whose commit it was.
type moodyBackend struct {
	Backend
	most int // commits in a batch

	mu      sync.Mutex
	running int // batches at the same time
	peak    int
	wrong   []string
	stored  map[string]bool
}

func (m *moodyBackend) Commit(_ context.Context, batch []*Commit) ([]Verdict, error) {
	m.begin(batch)
	defer m.end()
	time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	verdicts := make([]Verdict, len(batch))
	for i, c := range batch {
		switch {
		case strings.HasSuffix(c.Run.ID, "3"):
			panic("of " + c.Run.ID)
		case strings.HasSuffix(c.Run.ID, "7"):
			return nil, errors.New("of " + c.Run.ID)
		}
		verdicts[i].Messages = []Message{{Name: c.Run.ID}}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range batch {
		m.stored[c.Run.ID] = true
	}
	return verdicts, nil
}

func (m *moodyBackend) begin(batch []*Commit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running++
	m.peak = max(m.peak, m.running)
	runs := map[string]bool{}
	for _, c := range batch {
		if runs[c.Run.RunID] {
			m.wrong = append(m.wrong, "two commits of run "+c.Run.RunID+" in a batch")
		}
		runs[c.Run.RunID] = true
	}
	if len(batch) > m.most {
		m.wrong = append(m.wrong, fmt.Sprintf("%d commits in a batch", len(batch)))
	}
}

func (m *moodyBackend) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
}

// keptFor is a pool that keeps nothing beyond the test's bubble.
func keptFor(t *testing.T) *spare.Pool {
	t.Helper()
	kept := new(spare.Pool)
	kept.Keep()
	t.Cleanup(kept.Drop)
	return kept
}

// Every commit gets its own verdict, whatever the backend does to others.
func TestCommitterGivesEachCommitItsVerdict(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{1, 3} {
		t.Run(fmt.Sprint("lanes ", lanes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &moodyBackend{most: 4, stored: map[string]bool{}}
				c := newCommitter(m, &Description{Lanes: lanes, BatchSize: m.most}, &hookCaller{}, keptFor(t))
				var all sync.WaitGroup
				for i := range 500 {
					all.Go(func() {
						time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
						id := fmt.Sprint("c", i)
						v, err := c.commit(t.Context(), &Commit{Run: &RunRef{ID: id, RunID: fmt.Sprint("r", i%20)}})
						bad := strings.HasSuffix(id, "3") || strings.HasSuffix(id, "7")
						switch {
						case bad != (err != nil), bad && !strings.Contains(err.Error(), "of "+id):
							t.Errorf("%s: %v", id, err)
						case !bad && (len(v.Messages) != 1 || v.Messages[0].Name != id):
							t.Errorf("%s: verdict %+v", id, v)
						}
					})
				}
				all.Wait()
				synctest.Wait()
				if len(m.wrong) > 0 || m.peak != lanes || len(m.stored) != 400 {
					t.Errorf("%v, %d batches at once, %d commits stored", m.wrong, m.peak, len(m.stored))
				}
			})
		})
	}
}

// A backend that panics may have written before: nobody knows the outcome. What may come twice is tried alone, the
// rest keeps the error.
func TestPanicOfABackendIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCommitter(&panickyBackend{}, &Description{BatchSize: 100}, &hookCaller{}, keptFor(t))
		var together []*batch.Item[*decision]
		for _, commit := range []*Commit{
			{Run: &RunRef{RunID: "a"}},
			{Starts: []RunStart{{ID: "b"}}},
			{Raises: []Raise{{ID: "c", Key: "k"}}},
			{Raises: []Raise{{ID: "d"}}},
		} {
			together = append(together, &batch.Item[*decision]{Member: &decision{commit: commit}})
		}
		c.run(t.Context(), together)
		for i, item := range together {
			err := item.Member.err
			if unknown := errors.Is(err, ErrOutcomeUnknown); unknown != (i == 3) || !unknown && err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
		}
	})
}

// panickyBackend panics over batches of several.
type panickyBackend struct{ Backend }

func (*panickyBackend) Commit(_ context.Context, batch []*Commit) ([]Verdict, error) {
	if len(batch) > 1 {
		panic("too many")
	}
	return make([]Verdict, 1), nil
}
