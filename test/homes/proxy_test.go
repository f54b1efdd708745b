package homes_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// proxy lets a test come between the engine and its backend.
type proxy struct {
	lambdabiz.Backend
	commit func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error)
	claim  func(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error)
}

func (p *proxy) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if p.commit != nil {
		return p.commit(ctx, batch)
	}
	return p.Backend.Commit(ctx, batch)
}

func (p *proxy) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if p.claim != nil {
		return p.claim(ctx, r)
	}
	return p.Backend.Claim(ctx, r)
}

// laned is a backend with several lanes, whose verdicts may be late.
type laned struct{ *proxy }

func (l *laned) Describe() lambdabiz.Description {
	d := l.Backend.Describe()
	d.Lanes = 8
	return d
}

// Wake implements lambdabiz.Waker where the backend does.
func (l *laned) Wake() <-chan struct{} {
	if w, ok := l.Backend.(lambdabiz.Waker); ok {
		return w.Wake()
	}
	return nil
}

// lanes is a backend that takes several commits at a time.
type lanes struct{ lambdabiz.Backend }

func (l *lanes) Describe() lambdabiz.Description {
	d := l.Backend.Describe()
	d.Lanes = 4
	return d
}

// slow makes commits of runs take a time, from now on.
func slow(b *bench, d *atomic.Int64) {
	inner := b.backend
	b.backend = &proxy{Backend: inner, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		if wait := time.Duration(d.Load()); wait > 0 && batch[0].Run != nil {
			v, err := inner.Commit(ctx, batch)
			time.Sleep(wait)
			return v, err
		}
		return inner.Commit(ctx, batch)
	}}
}
