package lambdabiz

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The waiters against a plain list, by chance: who is due next, and how many are active.
func TestWaitersComeUpInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	b := waiters{active: 1000}
	blocked := map[*waiter]bool{}
	earliest := func() time.Time {
		var first time.Time
		for w := range blocked {
			if !w.due.IsZero() && (first.IsZero() || w.due.Before(first)) {
				first = w.due
			}
		}
		return first
	}
	for range 5000 {
		switch rng.IntN(4) {
		case 0, 1:
			if b.active == 0 {
				continue
			}
			w := &waiter{}
			if rng.IntN(3) > 0 {
				w.due = time.Unix(int64(rng.IntN(1000)), 0)
			}
			b.block(w)
			if most := 65 + 2*len(blocked); !w.due.IsZero() && len(b.dues) > most {
				t.Fatalf("seed %d: %d times are kept, %d at most are right", seed, len(b.dues), most)
			}
			blocked[w] = true
		case 2: // something that has no time wakes one
			for w := range blocked {
				if !b.wake(w) || b.wake(w) {
					t.Fatalf("seed %d: a blocked one is not woken once", seed)
				}
				delete(blocked, w)
				break
			}
		case 3:
			at := time.Unix(int64(rng.IntN(1000)), 0)
			first := earliest()
			w := b.takeDue(at)
			switch {
			case first.IsZero() || first.After(at):
				if w != nil {
					t.Fatalf("seed %d: at %v one of %v comes up, the first is %v", seed, at, w.due, first)
				}
			case w == nil || !w.due.Equal(first) || !blocked[w]:
				t.Fatalf("seed %d: at %v %+v comes up, the first is %v", seed, at, w, first)
			default:
				b.wake(w)
				delete(blocked, w)
			}
		}
		if b.active != 1000-len(blocked) || len(b.waiting) != len(blocked) {
			t.Fatalf("seed %d: %d are active, %d wait, %d are blocked", seed, b.active, len(b.waiting), len(blocked))
		}
		if got, want := b.nextDue(), earliest(); !got.Equal(want) {
			t.Fatalf("seed %d: the next is due at %v, want %v", seed, got, want)
		}
	}
	if b.wake(nil) {
		t.Error("nobody was woken")
	}
}
