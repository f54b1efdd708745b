package postgres

import (
	"context"
	"slices"
	"sync"
)

// doubts are the batches of one round trip whose outcome nobody could find out. They may still be on their way, and come when
// their commits have been tried again and others after them.
type doubts struct {
	mu        sync.Mutex
	witnesses []int64
}

func (d *doubts) note(witness int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.witnesses = append(d.witnesses, witness)
}

func (d *doubts) all() []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.witnesses)
}

func (d *doubts) forget(settled []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.witnesses = slices.DeleteFunc(d.witnesses, func(w int64) bool { return slices.Contains(settled, w) })
}

// settle puts the witnesses of batches in doubt in their places, before anything else is committed: one that comes later is
// rolled back at its end, as for readBack. One that is just coming it waits for.
func (b *Backend) settle(ctx context.Context) error {
	all := b.doubts.all()
	if len(all) == 0 {
		return nil
	}
	err := b.transact(ctx, func(t *tx) error {
		_, err := t.exec(ctx, qPutWitnesses, all)
		return err
	})
	if err == nil {
		b.doubts.forget(all)
	}
	return err
}
