package invariant

import (
	"context"

	"github.com/lambdabiz/lambdabiz"
)

// Watch returns the backend, watched for I7: when a commit was applied under a fence although a claim under a
// higher one had been answered before the commit began, the next Check says so. The optional abilities of the
// backend stay.
func (l *Ledger) Watch(b lambdabiz.Backend) lambdabiz.Backend {
	w := &watched{Backend: b, ledger: l}
	waker, wakes := b.(lambdabiz.Waker)
	queue, queues := b.(lambdabiz.Queue)
	switch {
	case wakes && queues:
		return struct {
			*watched
			lambdabiz.Waker
			lambdabiz.Queue
		}{w, waker, queue}
	case wakes:
		return struct {
			*watched
			lambdabiz.Waker
		}{w, waker}
	case queues:
		return struct {
			*watched
			lambdabiz.Queue
		}{w, queue}
	}
	return w
}

type watched struct {
	lambdabiz.Backend
	ledger *Ledger
}

// Claim notes the fences that are given out.
func (w *watched) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := w.Backend.Claim(ctx, r)
	if err == nil {
		for i := range claims.Runs {
			w.ledger.issued(claims.Runs[i].Ref)
		}
	}
	return claims, err
}

// Commit compares the fences of what is applied with those that had been given out before.
func (w *watched) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	before := make([]int64, len(batch))
	for i, c := range batch {
		if c.Run != nil {
			before[i] = w.ledger.highest(*c.Run)
		}
	}
	verdicts, err := w.Backend.Commit(ctx, batch)
	if err != nil {
		return verdicts, err
	}
	for i, v := range verdicts {
		if c := batch[i]; v.Err == nil && c.Run != nil && c.Run.Fence < before[i] {
			w.ledger.outdated(*c.Run, before[i])
		}
		for _, s := range v.Starts {
			if s.Run.Fence != 0 {
				w.ledger.issued(s.Run)
			}
		}
	}
	return verdicts, err
}

func (l *Ledger) issued(ref lambdabiz.RunRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fences == nil {
		l.fences = map[runKey]int64{}
	}
	k := runKey{ref.ID, ref.RunID}
	l.fences[k] = max(l.fences[k], ref.Fence)
}

func (l *Ledger) highest(ref lambdabiz.RunRef) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fences[runKey{ref.ID, ref.RunID}]
}

func (l *Ledger) outdated(ref lambdabiz.RunRef, issued int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faultf(Fence, operationKey{ref.ID, ref.RunID, ""},
		"a commit under fence %d was applied after fence %d was given out", ref.Fence, issued)
}
