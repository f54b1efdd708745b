package homes_test

import (
	"context"
	"sync/atomic"

	"github.com/lambdabiz/lambdabiz"
)

// promise is one that a store breaks: it drops every nth of some commits, and acknowledges them.
type promise struct {
	n  int64
	is func(c *lambdabiz.Commit) bool
}

var promises = map[string]promise{
	"a result that is acknowledged is stored": {4, func(c *lambdabiz.Commit) bool {
		return c.Run != nil && len(c.Operations) > 0 && len(c.Starts)+len(c.Raises)+len(c.Controls) == 0 && c.Close == nil
	}},
	"an end that is acknowledged is stored": {4, func(c *lambdabiz.Commit) bool {
		return c.Run != nil && c.Close != nil && len(c.Starts)+len(c.Raises)+len(c.Controls) == 0
	}},
}

// liar acknowledges commits that it drops.
type liar struct {
	lambdabiz.Backend
	lambdabiz.Waker
	every promise
	seen  atomic.Int64
}

func lie(b lambdabiz.Backend, broken promise) lambdabiz.Backend {
	waker, _ := b.(lambdabiz.Waker) // the stores in memory are
	return &liar{Backend: b, Waker: waker, every: broken}
}

func (l *liar) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if len(batch) == 1 && l.every.is(batch[0]) && l.seen.Add(1)%l.every.n == 0 {
		return []lambdabiz.Verdict{{Held: true}}, nil
	}
	return l.Backend.Commit(ctx, batch)
}
