package faulty

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	spare  bool
	known  bool           // claims have no unknown outcome
	ends   bool           // nor have commits that end their claim
	starts map[string]int // by run id: how often a start has come that spare lets go wrong
	calls  int
	struck [kinds]int
	method map[string]int
}

// New makes faults that meet one call of a hundred for each percent. A late call takes up to delay longer.
func New(random *rand.Rand, percent int, delay time.Duration) *Faults {
	return &Faults{
		rate: float64(percent) / 100, delay: delay, random: random, method: map[string]int{}, starts: map[string]int{},
	}
}

// SpareClients lets only that go wrong which an engine must bear by itself: what a worker does, what is committed
// for a run, and starts of unknown outcome, up to four times in a row, which the engine repeats. What else comes
// from outside would have to be repeated by the clients: Load, List and Purge, commits of no run, and what is called
// with a context of [Spare].
func (f *Faults) SpareClients() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spare = true
}

// KnowClaims lets no claim have an unknown outcome: that makes a worker begin anew, and bodies run again.
func (f *Faults) KnowClaims() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = true
}

// KnowEnds lets no commit that ends its claim have an unknown outcome: a caller by hand who comes again after it cannot
// tell itself from another one.
func (f *Faults) KnowEnds() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ends = true
}

// ofClaims returns what may go wrong with a claim.
func (f *Faults) ofClaims() []Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known {
		return known
	}
	return claims
}

// maxStarts is how often an engine begins a start before it gives an unknown outcome to its caller.
const maxStarts = 5

// ofCommits returns what may go wrong with a batch; nothing if clients are spared and one of the commits is theirs. All
// says whether every commit of a run ends its claim.
func (f *Faults) ofCommits(batch []*lambdabiz.Commit, all bool) []Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	can := writes
	if f.ends && slices.ContainsFunc(batch, func(c *lambdabiz.Commit) bool {
		return c.Run != nil && (all || c.Close != nil || c.Release != nil)
	}) {
		can = refused
	}
	if !f.spare {
		return can
	}
	for _, c := range batch {
		if c.Run != nil {
			continue
		}
		if len(c.Starts) == 0 {
			return nil
		}
		if can = starts; f.ends {
			return nil // a caller by hand starts what it claims
		}
	}
	for _, c := range batch {
		if c.Run == nil {
			id := c.Starts[0].RunID
			if f.starts[id]++; f.starts[id] >= maxStarts {
				return nil
			}
		}
	}
	return can
}

// ofClients are the methods that no worker calls.
var ofClients = []string{"Load", "List", "Purge"}

type spareKey struct{}

// Spare returns a context whose calls meet no faults where clients are spared, or, with false, one whose calls meet
// them again. It is lost where an engine goes on without its caller's context.
func Spare(ctx context.Context, spare bool) context.Context {
	return context.WithValue(ctx, spareKey{}, spare)
}

// Heal ends the faults, until Fail.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healed = true
}

// Fail lets calls go wrong again after Heal.
func (f *Faults) Fail() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healed = false
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
func (f *Faults) roll(
	ctx context.Context, method string, can []Kind,
) (k Kind, struck bool, delay time.Duration, before bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	spared := len(can) == 0 || f.spare && (slices.Contains(ofClients, method) || method != "Commit" && ctx.Value(spareKey{}) == true)
	if f.healed || spared || f.random.Float64() >= f.rate {
		return 0, false, 0, false
	}
	k = can[f.random.IntN(len(can))]
	f.struck[k]++
	f.method[method]++
	delay = time.Duration(f.random.Int64N(int64(max(f.delay, 1)))).Truncate(time.Microsecond) // as times of stores
	return k, true, delay, f.random.IntN(2) == 0
}

// call does a call, or lets it go wrong. again is the call with what was delivered before; nil if there is none.
func call[T any](ctx context.Context, f *Faults, method string, can []Kind, do, again func() (T, error)) (T, error) {
	var zero T
	k, struck, delay, before := f.roll(ctx, method, can)
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
