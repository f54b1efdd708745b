package faulty

import (
	"context"

	"github.com/lambdabiz/lambdabiz"
)

// What may go wrong: a read has no outcome that anybody could doubt.
var (
	reads   = []Kind{Refused, Late, Deadline}
	writes  = []Kind{Refused, Cut, Lost, Late, Deadline}
	refused = []Kind{Refused, Late, Deadline}
	claims  = []Kind{Refused, Cut, Lost, Late, Deadline, Again}
	known   = []Kind{Refused, Late, Deadline, Again}
	starts  = []Kind{Cut, Lost, Late} // what an engine repeats for its clients
)

// Wrap returns the backend with these faults. Its optional abilities stay. Close and Describe never fail.
func Wrap(b lambdabiz.Backend, f *Faults) lambdabiz.Backend {
	w := &backend{Backend: b, faults: f}
	waker, wakes := b.(lambdabiz.Waker)
	tasks, queues := b.(lambdabiz.Queue)
	q := &queue{inner: tasks, faults: f}
	switch {
	case wakes && queues:
		return struct {
			*backend
			lambdabiz.Waker
			*queue
		}{w, waker, q}
	case wakes:
		return struct {
			*backend
			lambdabiz.Waker
		}{w, waker}
	case queues:
		return struct {
			*backend
			*queue
		}{w, q}
	}
	return w
}

// backend is a backend with faults.
type backend struct {
	lambdabiz.Backend
	faults *Faults
}

// done makes a call of one that has no answer.
func done(f func() error) func() (struct{}, error) {
	return func() (struct{}, error) { return struct{}{}, f() }
}

// Join may register a worker that nobody knows of.
func (b *backend) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	return call(ctx, b.faults, "Join", writes, func() (int64, error) { return b.Backend.Join(ctx, w) }, nil)
}

// Renew may be late, or not come at all.
func (b *backend) Renew(ctx context.Context, worker int64) error {
	_, err := call(ctx, b.faults, "Renew", writes, done(func() error { return b.Backend.Renew(ctx, worker) }), nil)
	return err
}

// Leave may remove a worker and not say so.
func (b *backend) Leave(ctx context.Context, worker, beat int64) error {
	_, err := call(ctx, b.faults, "Leave", writes, done(func() error { return b.Backend.Leave(ctx, worker, beat) }), nil)
	return err
}

// Workers may fail, and be late.
func (b *backend) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	return call(ctx, b.faults, "Workers", reads, func() ([]lambdabiz.WorkerRecord, error) { return b.Backend.Workers(ctx) }, nil)
}

// Claim may hand out messages again that were handed out before.
func (b *backend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	older := r
	older.After = 0
	return call(ctx, b.faults, "Claim", b.faults.ofClaims(),
		func() (lambdabiz.Claims, error) { return b.Backend.Claim(ctx, r) },
		func() (lambdabiz.Claims, error) { return b.Backend.Claim(ctx, older) })
}

// Commit may be applied and not say so.
func (b *backend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	can := b.faults.ofCommits(batch, b.Describe().CommitEndsClaim)
	return call(ctx, b.faults, "Commit", can, func() ([]lambdabiz.Verdict, error) { return b.Backend.Commit(ctx, batch) }, nil)
}

// Load may fail, and be late.
func (b *backend) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	return call(ctx, b.faults, "Load", reads, func() (*lambdabiz.Record, error) { return b.Backend.Load(ctx, id, runID) }, nil)
}

// List may fail, and be late.
func (b *backend) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	return call(ctx, b.faults, "List", reads, func() (lambdabiz.Page, error) { return b.Backend.List(ctx, f) }, nil)
}

// Purge may remove and not say so.
func (b *backend) Purge(ctx context.Context, p lambdabiz.PurgeRequest) (int, error) {
	return call(ctx, b.faults, "Purge", writes, func() (int, error) { return b.Backend.Purge(ctx, p) }, nil)
}

// queue is the task queue of a backend with faults.
type queue struct {
	inner  lambdabiz.Queue
	faults *Faults
}

// NextTask may fail before an attempt was taken, and be late.
func (q *queue) NextTask(ctx context.Context, r lambdabiz.TaskRequest) (*lambdabiz.TaskClaim, error) {
	return call(ctx, q.faults, "NextTask", reads, func() (*lambdabiz.TaskClaim, error) { return q.inner.NextTask(ctx, r) }, nil)
}

// BeatTask may be late, or not come at all.
func (q *queue) BeatTask(ctx context.Context, t *lambdabiz.TaskClaim, details lambdabiz.Payload) error {
	_, err := call(ctx, q.faults, "BeatTask", writes, done(func() error { return q.inner.BeatTask(ctx, t, details) }), nil)
	return err
}

// EndTask may end an attempt and not say so.
func (q *queue) EndTask(ctx context.Context, t *lambdabiz.TaskClaim, o lambdabiz.TaskOutcome) error {
	_, err := call(ctx, q.faults, "EndTask", writes, done(func() error { return q.inner.EndTask(ctx, t, o) }), nil)
	return err
}
