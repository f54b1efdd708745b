package faulty

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Kind says how a call goes wrong.
type Kind int

// The kinds of faults.
const (
	Refused  Kind = iota // an error, and nothing was done
	Cut                  // done, and then an error of unknown outcome
	Lost                 // an error of unknown outcome, and nothing was done
	Late                 // done, but the request or its answer takes its time
	Deadline             // the call's time is over, and nothing was done
	Again                // messages that were delivered before come again
	kinds
)

var kindNames = [kinds]string{"refused", "cut", "lost", "late", "deadline", "again"}

// String returns the kind in a word.
func (k Kind) String() string { return kindNames[k] }

// errRefused is an error that no code can know.
var errRefused = errors.New("faulty: the store refuses")

// Faults decides which calls go wrong. It may be shared by many backends, and used by many goroutines: which call
// meets which fault follows from the seed and from the order of the calls.
type Faults struct {
	rate  float64
	delay time.Duration

	mu     sync.Mutex
	random *rand.Rand
	healed bool
	calls  int
	struck [kinds]int
	method map[string]int
}

// New makes faults that meet one call of a hundred for each percent. A late call takes up to delay longer.
func New(random *rand.Rand, percent int, delay time.Duration) *Faults {
	return &Faults{rate: float64(percent) / 100, delay: delay, random: random, method: map[string]int{}}
}

// Heal ends the faults.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healed = true
}

// Calls is how many calls have come, those that went well included.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Struck is how many calls a kind of fault has met.
func (f *Faults) Struck(k Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck[k]
}

// Total is how many calls went wrong.
func (f *Faults) Total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, struck := range f.struck {
		n += struck
	}
	return n
}

// Met is how many calls of a method went wrong.
func (f *Faults) Met(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.method[method]
}

// roll decides on a call. delay is how long a late one takes, and before says where.
func (f *Faults) roll(method string, can ...Kind) (k Kind, struck bool, delay time.Duration, before bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.healed || f.random.Float64() >= f.rate {
		return 0, false, 0, false
	}
	k = can[f.random.IntN(len(can))]
	f.struck[k]++
	f.method[method]++
	return k, true, time.Duration(f.random.Int64N(int64(max(f.delay, 1)))), f.random.IntN(2) == 0
}

// call does a call, or lets it go wrong. again is the call with what was delivered before; nil if there is none.
func call[T any](ctx context.Context, f *Faults, method string, can []Kind, do, again func() (T, error)) (T, error) {
	var zero T
	k, struck, delay, before := f.roll(method, can...)
	if !struck {
		return do()
	}
	switch k {
	case Refused:
		return zero, fmt.Errorf("%s: %w", method, errRefused)
	case Cut:
		if v, err := do(); err != nil {
			return v, err
		}
		return zero, fmt.Errorf("%s was cut: %w", method, lambdabiz.ErrOutcomeUnknown)
	case Lost:
		return zero, fmt.Errorf("%s was lost: %w", method, lambdabiz.ErrOutcomeUnknown)
	case Deadline:
		pause(ctx, delay)
		return zero, fmt.Errorf("%s: %w", method, context.DeadlineExceeded)
	case Again:
		return again()
	default:
		if before {
			pause(ctx, delay)
		}
		v, err := do()
		if !before {
			pause(ctx, delay)
		}
		return v, err
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
