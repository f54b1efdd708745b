package orders_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

// between stands between engines and a store. What is nil goes straight through.
type between struct {
	lambdabiz.Backend
	commit func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error)
	claim  func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error)
	load   func(ctx context.Context, id, runID string) (*lambdabiz.Record, error)
	purge  func(ctx context.Context, p lambdabiz.PurgeRequest) (int, error)
}

func (b *between) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if b.commit != nil {
		return b.commit(ctx, batch)
	}
	return b.Backend.Commit(ctx, batch)
}

func (b *between) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if b.claim != nil {
		return b.claim(ctx, r)
	}
	return b.Backend.Claim(ctx, r)
}

func (b *between) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	if b.load != nil {
		return b.load(ctx, id, runID)
	}
	return b.Backend.Load(ctx, id, runID)
}

func (b *between) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	if b.purge != nil {
		return b.purge(ctx, p)
	}
	return b.Backend.Purge(ctx, p)
}

// Wake passes on what the store tells.
func (b *between) Wake() <-chan struct{} { return wakeOf(b.Backend) }

func wakeOf(b lambdabiz.Backend) <-chan struct{} {
	if waker, ok := b.(lambdabiz.Waker); ok {
		return waker.Wake()
	}
	return nil
}

// slow holds commits and claims back: before they reach the store, and before their answers reach the
// engine, for up to as many virtual milliseconds. One in three goes straight through.
func slow(b lambdabiz.Backend, d *dice, milliseconds int, held *tally) lambdabiz.Backend {
	hold := func(what string) {
		if milliseconds == 0 || d.one(3) {
			return
		}
		if wait := d.upTo(milliseconds); wait > 0 {
			held.add(what, 1)
			pass(wait) // virtual
		}
	}
	return &between{
		Backend: b,
		commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
			hold("held")
			defer hold("held")
			return b.Commit(ctx, batch)
		},
		claim: func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
			hold("held")
			defer hold("held")
			return b.Claim(ctx, r)
		},
	}
}

var errCut = errors.New("this process is cut off")

// cut is a store as one process sees it, which dies at its nth commit of a run: just before the store has
// it, or just after. Then nothing of the process reaches the store any more.
type cut struct {
	lambdabiz.Backend
	at      int  // the commit, from 1; 0 for none
	applied bool // the store has the commit, its answer is lost

	mu      sync.Mutex
	commits int
	numbers []int64
	dead    bool
	died    chan struct{}
}

func newCut(b lambdabiz.Backend, at int, applied bool) *cut {
	return &cut{Backend: b, at: at, applied: applied, died: make(chan struct{})}
}

func (c *cut) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.dead = true
		close(c.died)
	}
}

func (c *cut) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// workers are the numbers that the process has worked under.
func (c *cut) workers() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.numbers)
}

// count is how many commits have come.
func (c *cut) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commits
}

// strikes counts the commits of a batch, and reports whether the process dies in it.
func (c *cut) strikes(batch []*lambdabiz.Commit) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.commits
	for _, one := range batch {
		if one.Run != nil {
			c.commits++
		}
	}
	return c.at > before && c.at <= c.commits
}

func (c *cut) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if c.gone() {
		return nil, errCut
	}
	if !c.strikes(batch) {
		verdicts, err := c.Backend.Commit(ctx, batch)
		if c.gone() {
			return nil, errCut
		}
		return verdicts, err
	}
	defer c.die()
	if c.applied {
		if _, err := c.Backend.Commit(ctx, batch); err != nil {
			return nil, err
		}
	}
	return nil, errCut
}

func (c *cut) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if c.gone() {
		return lambdabiz.Claims{}, errCut
	}
	return c.Backend.Claim(ctx, r)
}

func (c *cut) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	if c.gone() {
		return 0, errCut
	}
	number, err := c.Backend.Join(ctx, w)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers = append(c.numbers, number)
	return number, err
}

func (c *cut) Renew(ctx context.Context, worker int64) error {
	if c.gone() {
		return errCut
	}
	return c.Backend.Renew(ctx, worker)
}

func (c *cut) Leave(ctx context.Context, worker, beat int64) error {
	if c.gone() {
		return errCut
	}
	return c.Backend.Leave(ctx, worker, beat)
}

// Wake passes on what the store tells.
func (c *cut) Wake() <-chan struct{} { return wakeOf(c.Backend) }
