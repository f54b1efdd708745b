package lambdabiz

import (
	"context"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz/internal/spare"
)

// guardedBackend is a backend that can neither panic, nor end the goroutine of a worker, nor hold it for ever.
type guardedBackend struct{ Backend }

func (b guardedBackend) Join(ctx context.Context, w WorkerInfo) (int64, error) {
	return patiently(ctx, func() (int64, error) { return b.Backend.Join(ctx, w) })
}

func (b guardedBackend) Renew(ctx context.Context, worker int64) error {
	_, err := patiently(ctx, func() (struct{}, error) { return struct{}{}, b.Backend.Renew(ctx, worker) })
	return err
}

func (b guardedBackend) Leave(ctx context.Context, worker, beat int64) error {
	_, err := patiently(ctx, func() (struct{}, error) { return struct{}{}, b.Backend.Leave(ctx, worker, beat) })
	return err
}

func (b guardedBackend) Workers(ctx context.Context) ([]WorkerRecord, error) {
	return patiently(ctx, func() ([]WorkerRecord, error) { return b.Backend.Workers(ctx) })
}

func (b guardedBackend) Claim(ctx context.Context, r ClaimRequest) (Claims, error) {
	return patiently(ctx, func() (Claims, error) { return b.Backend.Claim(ctx, r) })
}

// claimCall is [guardedBackend.Claim] for the worker's loop, which claims again and again: it is used again for the next
// call, so that a claim allocates nothing as long as the backend returns in time.
type claimCall struct {
	backend Backend
	kept    *spare.Pool
	ctx     context.Context //nolint:containedctx // of the call
	request ClaimRequest
	claims  Claims
	err     error
	done    chan struct{} // receives when the call is over
	begin   func()
}

func newClaimCall(b Backend, kept *spare.Pool) *claimCall {
	c := &claimCall{backend: b, kept: kept, done: make(chan struct{}, 1)}
	c.begin = c.perform
	return c
}

func (c *claimCall) perform() {
	c.claims, c.err = Claims{}, errGoexit
	defer func() { c.done <- struct{}{} }()
	_, c.err = guard(func() (_ any, err error) {
		c.claims, err = c.backend.Claim(c.ctx, c.request)
		return nil, err
	})
}

// claim calls the backend. When it reports late, the call is not over, and this must not be used again.
func (c *claimCall) claim(ctx context.Context, r ClaimRequest) (claims Claims, late bool, err error) {
	c.ctx, c.request = ctx, r
	c.kept.Go(c.begin)
	if _, err := awaitForeign(ctx, c.done); err != nil {
		return Claims{}, true, err
	}
	claims, err = c.claims, c.err
	c.ctx, c.request, c.claims, c.err = nil, ClaimRequest{}, Claims{}, nil
	return claims, false, err
}

// guardedWatcher is the same for a backend that tells who comes next.
type guardedWatcher struct{ Watcher }

func (w guardedWatcher) Watch(ctx context.Context, worker int64, next int) (Watched, error) {
	return patiently(ctx, func() (Watched, error) { return w.Watcher.Watch(ctx, worker, next) })
}

// guardedQueue is the same for the queue of tasks that a backend may have.
type guardedQueue struct{ Queue }

func (q guardedQueue) NextTask(ctx context.Context, r TaskRequest) (*TaskClaim, error) {
	return patiently(ctx, func() (*TaskClaim, error) { return q.Queue.NextTask(ctx, r) })
}

func (q guardedQueue) BeatTask(ctx context.Context, t *TaskClaim, details Payload) error {
	_, err := guard(func() (any, error) { return nil, q.Queue.BeatTask(ctx, t, details) })
	return err
}

func (q guardedQueue) EndTask(ctx context.Context, t *TaskClaim, o TaskOutcome) error {
	_, err := guard(func() (any, error) { return nil, q.Queue.EndTask(ctx, t, o) })
	return err
}

// guardedTransactor is the same for the transactions that a backend may have.
type guardedTransactor struct{ Transactor }

func (g *guardedTransactor) begin(ctx context.Context, how any) (guardedTransaction, error) {
	var t Transaction
	_, err := guard(func() (_ any, err error) {
		t, err = g.Begin(ctx, how)
		return nil, err
	})
	return guardedTransaction{t}, err
}

func (g *guardedTransactor) write(ctx context.Context, within any, c *Commit) (v Verdict, err error) {
	_, err = guard(func() (_ any, err error) {
		v, err = g.Write(ctx, within, c)
		return nil, err
	})
	return v, err
}

// guardedTransaction is a transaction of a backend. Its body is given the one within.
type guardedTransaction struct{ Transaction }

func (g guardedTransaction) commit(ctx context.Context, c *Commit) error {
	_, err := guard(func() (any, error) { return nil, g.Commit(ctx, c) })
	if _, panicked := errors.AsType[*panicError](err); panicked {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err) // it may have come after the write
	}
	return err
}

func (g guardedTransaction) rollback() {
	_, _ = guard(func() (any, error) { g.Rollback(); return nil, nil }) // nobody has acknowledged anything of it
}

func (g guardedTransaction) lost(err error) bool {
	v, _ := guard(func() (any, error) { return g.Lost(err), nil })
	return v == true
}
