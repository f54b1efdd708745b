package postgres

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// users is the connections for transactions of steps. Each may go on for long, and ends only when other writes of its run have
// been made: so some of the pool's connections are left for these.
type users struct {
	once   sync.Once
	places chan struct{} // as many as there may be
	beside bool          // the pool has one connection in all: theirs are beside it

	mu        sync.Mutex
	witnesses []int64 // of the last of them that were committed
}

// leftConns is how many connections of the pool are left for all but transactions of steps.
const leftConns = 2

// someWitnesses is how many transactions of steps may be committed in another order than their ends were heard of.
const someWitnesses = 16

// testify notes the witness of a transaction that was committed.
func (u *users) testify(witness int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.witnesses = append(u.witnesses, witness)
}

// told are the witnesses of the last transactions.
func (u *users) told() []int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.witnesses)
}

// dismiss returns a witness that is not needed any more, 0 for none; with all it forgets the others, too.
func (u *users) dismiss(all bool) (witness int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.witnesses) > someWitnesses {
		witness, u.witnesses = u.witnesses[0], slices.Delete(u.witnesses, 0, 1)
	}
	if all {
		u.witnesses = nil
	}
	return witness
}

// conn takes a connection, and returns how to give it back.
func (u *users) conn(ctx context.Context, b *Backend) (*pgx.Conn, func(), error) {
	u.once.Do(func() {
		conns := b.pool.Config().MaxConns
		u.places, u.beside = make(chan struct{}, max(conns-leftConns, 1)), conns == 1
	})
	select {
	case u.places <- struct{}{}:
	case <-b.closed:
		return nil, nil, errClosed
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	conn, giveBack, err := u.take(ctx, b)
	if err != nil {
		<-u.places
		return nil, nil, err
	}
	return conn, func() { giveBack(); <-u.places }, nil
}

func (u *users) take(ctx context.Context, b *Backend) (*pgx.Conn, func(), error) {
	if !u.beside {
		c, err := b.acquire(ctx)
		if err != nil {
			return nil, nil, err
		}
		return c.Conn(), c.Release, nil
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err = b.trust(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // the fault is the answer
		return nil, nil, err
	}
	return conn, func() {
		closing, cancel := context.WithTimeout(context.Background(), notifyWithin)
		defer cancel()
		_ = conn.Close(closing) // what it has committed is committed
	}, nil
}
