package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

// Config says how a [Backend] behaves. The zero value is a plain backend whose claims are held.
type Config struct {
	// CommitEndsClaim makes every applied commit end its run's claim, and a start never claims. The
	// run is due again when Commit.Again was set, Commit.WakeAt has passed, or a message with a
	// number above Commit.Seen is there.
	CommitEndsClaim bool

	// Performs lists the kinds of operations that the backend does itself: none, or KindTimer. It
	// needs CommitEndsClaim, for the outcome comes with a later claim. A timer that is due at the
	// time of a claim is returned as SUCCEEDED.
	Performs []lambdabiz.Kind

	// MaxCommitItems and MaxCommitBytes are what may be written at once, for tests of what happens on such a home: see
	// [lambdabiz.Description]. A batch of more is an error. They are 16 and 64 at least; 0 is no limit. A payload has an eighth
	// of the bytes at most.
	MaxCommitItems, MaxCommitBytes int
}

// batchSize is the number of commits that the engine may hand over at once.
const batchSize = 256

var errClosed = errors.New("memory: backend is closed")

// Backend is a [lambdabiz.Backend] in memory, a [lambdabiz.Waker], a [lambdabiz.Watcher], a
// [lambdabiz.Ender] and a [lambdabiz.Counter]. Make one with [New] or [NewWith].
type Backend struct {
	config Config

	mu         sync.Mutex
	closed     bool
	receivers  []chan struct{}   // one for each call of Wake
	ids        map[string][]*run // in the order of creation; never an empty slice
	kept       map[string]*shelf // events for starts to come
	workers    map[int64]*worker
	lastWorker int64
	lastRun    int64 // the place of a run in the order of creation
	lastMsg    int64 // message numbers grow across runs, so that ClaimRequest.After is one number
	ready      []*run
	wakes      wakeHeap
	copies     []lambdabiz.Operation // of the commit that is being applied; kept for their memory
}

var (
	_ lambdabiz.Backend = (*Backend)(nil)
	_ lambdabiz.Waker   = (*Backend)(nil)
	_ lambdabiz.Watcher = (*Backend)(nil)
	_ lambdabiz.Ender   = (*Backend)(nil)
	_ lambdabiz.Counter = (*Backend)(nil)
)

// New makes an empty, plain backend.
func New() *Backend {
	return &Backend{
		ids:     map[string][]*run{},
		kept:    map[string]*shelf{},
		workers: map[int64]*worker{},
	}
}

// NewWith makes an empty backend that behaves as the Config says. It returns an error for one that cannot be kept.
func NewWith(config Config) (*Backend, error) {
	for _, kind := range config.Performs {
		if kind != lambdabiz.KindTimer {
			return nil, fmt.Errorf("memory: Config.Performs has %v (only TIMER is possible)", kind)
		}
	}
	if len(config.Performs) > 0 && !config.CommitEndsClaim {
		return nil, errors.New("memory: Config.Performs needs Config.CommitEndsClaim (a held run is not claimed again)")
	}
	if n := config.MaxCommitItems; n != 0 && n < 16 {
		return nil, fmt.Errorf("memory: Config.MaxCommitItems is %d (16 at least, or 0 for no limit)", n)
	}
	if n := config.MaxCommitBytes; n != 0 && n < 64 {
		return nil, fmt.Errorf("memory: Config.MaxCommitBytes is %d (64 at least, or 0 for no limit)", n)
	}
	config.Performs = slices.Clone(config.Performs)
	b := New()
	b.config = config
	return b, nil
}

// Describe says that nothing is refused, and nothing is limited but by the Config.
func (b *Backend) Describe() lambdabiz.Description {
	return lambdabiz.Description{
		Name:            "memory",
		CommitEndsClaim: b.config.CommitEndsClaim,
		Performs:        slices.Clone(b.config.Performs),
		Lanes:           1,
		BatchSize:       batchSize,
		MaxPayloadBytes: b.config.MaxCommitBytes / 8,
		MaxCommitItems:  b.config.MaxCommitItems,
		MaxCommitBytes:  b.config.MaxCommitBytes,
	}
}

// Wake returns a channel that receives after every change. Each call makes another one, so that several
// engines can work on one backend; call it once for each receiver.
func (b *Backend) Wake() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	wake := make(chan struct{}, 1)
	b.receivers = append(b.receivers, wake)
	return wake
}

// Close makes every later call fail. It frees no runs.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// enter locks the backend, unless the call is over already.
func (b *Backend) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	return nil
}

func (b *Backend) signal() {
	for _, wake := range b.receivers {
		select {
		case wake <- struct{}{}:
		default: // one is waiting to be received already
		}
	}
}

func (b *Backend) performs(kind lambdabiz.Kind) bool {
	return slices.Contains(b.config.Performs, kind)
}

// latest returns the newest run of an id, or nil.
func (b *Backend) latest(id string) *run {
	if runs := b.ids[id]; len(runs) > 0 {
		return runs[len(runs)-1]
	}
	return nil
}

// find returns the run with that run id, the latest one for an empty run id, or nil.
func (b *Backend) find(id, runID string) *run {
	if runID == "" {
		return b.latest(id)
	}
	for _, r := range slices.Backward(b.ids[id]) { // it is nearly always the latest
		if r.info.RunID == runID {
			return r
		}
	}
	return nil
}
