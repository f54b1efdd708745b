package lambdabiz

import (
	"math/rand/v2"
	"testing"
)

// The trail against a search from the function each time, by chance: whether all that it waits for only waits.
func TestTrailFindsWhatASearchFinds(t *testing.T) {
	t.Parallel()
	circles := 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		scopes := make([]*scope, 2+rng.IntN(12))
		for i := range scopes {
			scopes[i] = &scope{}
			if i > 0 {
				scopes[i].branch = &future{s: scopes[i], begun: true}
			}
		}
		goesOn := func(tr *trail, s *scope) { // its goroutine, after it has been woken
			s.awaits, s.blocked = nil, nil
			tr.cut(s)
		}
		tr := &trail{}
		for range 60 {
			s := scopes[rng.IntN(len(scopes))]
			switch ended := s.branch != nil && s.branch.ended; {
			case ended:
			case s.blocked == nil && rng.IntN(3) > 0:
				for range 1 + rng.IntN(2) {
					s.awaits = append(s.awaits, scopes[1+rng.IntN(len(scopes)-1)].branch)
				}
				s.blocked = &waiter{}
				for _, f := range s.awaits {
					s.blocked.woken = s.blocked.woken || f.ended // it does not block then
				}
			case s.blocked == nil && s.branch != nil:
				s.branch.ended = true
				for _, other := range scopes {
					for _, f := range other.awaits {
						if f == s.branch {
							other.blocked.woken = true
						}
					}
				}
			case s.blocked != nil && (s.blocked.woken || rng.IntN(8) == 0): // in the latter case its branch has lost
				s.blocked.woken = true
				goesOn(tr, s)
			}
			if scopes[0].awaits == nil {
				continue // nobody looks
			}
			c := tr.search(scopes[0])
			if want := (&circle{}).add(scopes[0]); (c != nil) != want {
				t.Fatalf("seed %d: a circle is found: %v, want %v", seed, c != nil, want)
			}
			if c != nil {
				circles++
			}
		}
	}
	if circles < 1000 {
		t.Errorf("there were %d circles only", circles)
	}
}
