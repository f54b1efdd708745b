package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/lambdabiz/lambdabiz"
)

// model is what a store of few ids must answer, as simply as it can be said.
type model struct {
	runs       map[string]*lambdabiz.Snapshot
	operations map[string]map[int64]modelOperation // by id and number
	kept       map[string][]string
}

type modelOperation struct {
	version lambdabiz.SnapshotVersion
	runID   string
	result  string
}

func (m *model) put(s *lambdabiz.Snapshot) {
	if m.operations[s.ID] == nil {
		m.operations[s.ID] = map[int64]modelOperation{}
	}
	for _, o := range s.Operations {
		if old, ok := m.operations[s.ID][o.Number]; !ok || old.version.Compare(s.Version) < 0 {
			m.operations[s.ID][o.Number] = modelOperation{s.Version, s.RunID, string(o.Result)}
		}
	}
	if old := m.runs[s.ID]; old == nil || old.Version.Compare(s.Version) < 0 {
		m.runs[s.ID] = s
	}
}

func (m *model) reserve(s *lambdabiz.Snapshot, replaces string) error {
	old := m.runs[s.ID]
	switch {
	case old == nil && replaces != "":
		return lambdabiz.ErrStale
	case old != nil && old.RunID == s.RunID:
		return nil
	case old != nil && (old.RunID != replaces || old.Version.Compare(s.Version) >= 0):
		return lambdabiz.ErrStale
	}
	m.runs[s.ID] = s
	return nil
}

func (m *model) delete(id, runID string) {
	if s := m.runs[id]; s != nil && s.RunID == runID {
		delete(m.runs, id)
		delete(m.operations, id)
	}
}

// results are those of the operations that are seen, in order.
func (m *model) results(id string) []string {
	out := []string{}
	for _, number := range slices.Sorted(maps.Keys(m.operations[id])) {
		if o := m.operations[id][number]; o.runID == m.runs[id].RunID {
			out = append(out, o.result)
		}
	}
	return out
}

// randomModel lets the store and a model do the same random things, one after the other, and compares.
func randomModel(h *harness) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	m := &model{
		runs: map[string]*lambdabiz.Snapshot{}, operations: map[string]map[int64]modelOperation{}, kept: map[string][]string{},
	}
	ids := []string{"a", "b", "a/b"}
	for step := range 250 {
		id := ids[random.IntN(len(ids))]
		store := []lambdabiz.Store{h.s, h.other}[random.IntN(2)]
		what := fmt.Sprintf("step %d with %s, seed %d", step, id, seed)
		// Runs begin later and later, with some that are late.
		s := runOf(id, max(step/40-random.IntN(3), 0), random.Int64N(12))
		for n := range int64(4) {
			if random.IntN(2) == 0 {
				s.Operations = append(s.Operations, operation(n+1, fmt.Sprintf("step %d", step)))
			}
		}
		s.Progress = text(what)
		switch key := fmt.Sprint(random.IntN(5)); random.IntN(12) {
		case 0, 1:
			s.Operations = nil
			replaces := []string{"", fmt.Sprintf("%s#%d", id, step/40), fmt.Sprintf("%s#%d", id, max(step/40-1, 0))}[random.IntN(3)]
			h.is(store.Reserve(background, s, replaces), m.reserve(s, replaces), "Reserve in "+what)
		case 2:
			m.delete(id, s.RunID)
			h.must(store.Delete(background, id, s.RunID), "Delete in "+what)
		case 3, 4:
			if !slices.Contains(m.kept[id], key) {
				m.kept[id] = append(m.kept[id], key)
			}
			h.must(store.Keep(background, id, event(key, 1)), "Keep in "+what)
		case 5:
			m.kept[id] = slices.DeleteFunc(m.kept[id], func(k string) bool { return k == key })
			h.must(store.Drop(background, id, []string{key}), "Drop in "+what)
		default:
			m.put(s)
			h.must(store.Put(background, s), "Put in "+what)
		}
		h.agrees(m, id, what)
	}
}

func (h *harness) agrees(m *model, id, what string) {
	h.Helper()
	h.kept(id, 1, m.kept[id]...)
	s, err := h.other.Get(background, id)
	wanted := m.runs[id]
	if wanted == nil {
		if !errors.Is(err, lambdabiz.ErrNotFound) {
			h.Fatalf("Get after %s: %+v, %v, want ErrNotFound", what, s, err)
		}
		return
	}
	h.must(err, "Get after "+what)
	got := []string{}
	for _, o := range s.Operations {
		got = append(got, string(o.Result))
	}
	want(h, got, m.results(id), "results after "+what)
	want(h, []any{s.RunID, s.Version, string(s.Progress)},
		[]any{wanted.RunID, wanted.Version, string(wanted.Progress)}, "run after "+what)
}
