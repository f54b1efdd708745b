package model_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// home is a backend whose answers are chosen: a commit of a run waits until somebody says how it ends, and nobody tells
// the worker what has come until somebody says so. The worker's own wishes to claim are not held up.
type home struct {
	*memory.Backend
	wake chan struct{}

	mu      sync.Mutex
	free    bool // from now on it is an ordinary backend
	ends    bool
	commits []*pendingCommit // that wait, the oldest first
	keeping bool             // the next claim's answer is kept
	answer  chan struct{}    // closed to hand out the answer that is kept; nil if none is
	full    bool             // the next claim says that others need room
	changes int              // of the store
	told    int              // how many of them there were when a worker claimed last
	worker  int64
	lives   int // how often the worker has joined
	faults  []string
}

// pendingCommit is one that waits for its end.
type pendingCommit struct {
	commit  *lambdabiz.Commit
	end     chan ending
	decided bool // by the store; only the answer is on its way
}

// ending is how a commit ends.
type ending uint8

const (
	answered ending = iota // the store decides, if it has not yet, and its answer arrives
	decided                // the store decides; another ending follows
	lost                   // it does not arrive, and nobody knows
	cut                    // the store decides, if it has not yet, and nobody knows
)

func newHome(commitEndsClaim bool) (*home, error) {
	b, err := memory.NewWith(memory.Config{CommitEndsClaim: commitEndsClaim})
	if err != nil {
		return nil, err
	}
	return &home{Backend: b, ends: commitEndsClaim, wake: make(chan struct{}, 1)}, nil
}

// Describe says that commits of several runs never wait for each other.
func (h *home) Describe() lambdabiz.Description {
	d := h.Backend.Describe()
	d.Lanes, d.BatchSize = 4, 1
	return d
}

// Wake is for the only worker.
func (h *home) Wake() <-chan struct{} { return h.wake }

// Join notes the number under which the worker lives.
func (h *home) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	number, err := h.Backend.Join(ctx, w)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.worker = number
	h.lives++
	return number, err
}

func (h *home) life() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lives
}

// Claim may keep its answer.
func (h *home) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	h.mu.Lock()
	h.told = h.changes
	claims, err := h.Backend.Claim(ctx, r)
	claims.More = claims.More || h.full
	h.full = false
	var answer chan struct{}
	if h.keeping {
		h.keeping, h.answer = false, make(chan struct{})
		answer = h.answer
	}
	h.mu.Unlock()
	if answer != nil {
		<-answer
	}
	return claims, err
}

// Commit waits until somebody says how it ends.
func (h *home) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	p := &pendingCommit{commit: batch[0], end: make(chan ending, 1)}
	h.mu.Lock()
	if h.free {
		defer h.mu.Unlock()
		return h.apply(ctx, batch)
	}
	if other := h.commitOf(p.commit.Run); other != nil {
		h.faults = append(h.faults, fmt.Sprintf("two commits of the run at the same time under fence %d", p.commit.Run.Fence))
	}
	h.commits = append(h.commits, p)
	h.mu.Unlock()
	var verdicts []lambdabiz.Verdict
	var err error
	for {
		end := <-p.end
		h.mu.Lock()
		if end != lost && !p.decided {
			p.decided = true
			verdicts, err = h.apply(ctx, batch)
		}
		if end != decided {
			h.commits = slices.DeleteFunc(h.commits, func(x *pendingCommit) bool { return x == p })
		}
		h.mu.Unlock()
		switch end {
		case decided:
		case answered:
			return verdicts, err
		default:
			return nil, fmt.Errorf("the line is dead: %w", lambdabiz.ErrOutcomeUnknown)
		}
	}
}

// look is what can be seen from outside.
func (h *home) look() moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := moment{commits: slices.Clone(h.commits), asked: h.answer != nil, changes: h.changes, told: h.told, lives: h.lives}
	m.decided = len(m.commits) > 0 && m.commits[0].decided
	return m
}

func (h *home) takeFaults() (faults []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	faults, h.faults = h.faults, nil
	return faults
}

// commitOf finds the commit that waits under the same claim.
func (h *home) commitOf(ref *lambdabiz.RunRef) *pendingCommit {
	for _, p := range h.commits {
		if p.commit.Run.Fence == ref.Fence {
			return p
		}
	}
	return nil
}

// apply writes. It is called with mu held.
func (h *home) apply(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	verdicts, err := h.Backend.Commit(ctx, batch)
	h.changed()
	return verdicts, err
}

// changed notes that there may be something to claim.
func (h *home) changed() {
	h.changes++
	if h.free {
		h.poll()
	}
}

// poll makes the worker claim.
func (h *home) poll() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// outside applies what clients ask for.
func (h *home) outside(ctx context.Context, c *lambdabiz.Commit) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	verdicts, err := h.apply(ctx, []*lambdabiz.Commit{c})
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		for _, raise := range v.Raises {
			if raise.Err != nil {
				return raise.Err
			}
		}
		for _, err := range v.Controls {
			if err != nil {
				return err
			}
		}
	}
	return verdicts[0].Err
}

// lose removes the worker, as another one does that takes it for dead.
func (h *home) lose(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	workers, err := h.Workers(ctx)
	for _, w := range workers {
		if w.Number == h.worker {
			err = h.Leave(ctx, w.Number, w.Beat)
		}
	}
	h.changed()
	return err
}

// release makes it an ordinary backend. What waits is applied.
func (h *home) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = true
	for _, p := range h.commits {
		p.end <- answered
	}
	h.handOut()
	h.poll()
}

// handOut lets the answer go that is kept. It is called with mu held.
func (h *home) handOut() {
	h.keeping = false
	if h.answer != nil {
		close(h.answer)
		h.answer = nil
	}
}
