package lambdabiz

import (
	"cmp"
	"context"
	"time"
)

// Store keeps a copy of the state of orchestrations beside a backend that is no database, like Amazon
// SWF: there [Engine.State] and [Engine.List] answer from it, ids stay used after a run has ended, and
// events may come before a start. It is a copy: losing it loses no run. The backend writes it after
// each decision; its version makes sure that it never goes backwards.
//
// A store holds the latest run of an id. Its methods may be called by many goroutines and processes at
// once, and read what any of them has written before. Times are UTC with microseconds, and what a store
// returns is the caller's. Package storetest has the suite that a store must pass.
type Store interface {
	// Put writes operations first, the run last. What is stored with the same or a newer version
	// stays, each item for itself, and that is no error. Snapshot.Operations are those that have
	// changed; the others stay. Operation.Tried is not kept. It returns ErrTooLarge, with nothing written, for a value that the
	// store cannot hold; the error names the operation. After any other error some of it may be written;
	// the same Put again completes it.
	Put(ctx context.Context, s *Snapshot) error

	// Reserve writes the run of a start that is about to be made, if the id's run is still the one
	// with the run id replaces; "" says that the id has none. Otherwise, and if the version of the run
	// that it replaces is not older, it returns ErrStale, and nothing is written. Of many callers one
	// wins. If the id's run is the snapshot's own it succeeds and writes nothing, for the first answer may
	// have been lost. Operations of the snapshot are not looked at; those of the replaced run are not
	// seen any more. What is put of the run afterwards needs a newer version: the same start, a later event.
	Reserve(ctx context.Context, s *Snapshot, replaces string) error

	// Get returns the run of an id with its operations in the order of their numbers, and its
	// unconsumed events; ErrNotFound if there is none. While a Put is on its way an operation may be newer
	// than the run.
	Get(ctx context.Context, id string) (*Snapshot, error)

	// List returns a page of runs, newest start (ScheduledAt) first. A run that does not change meanwhile
	// is on one page. Only open runs are blocked or paused. Filter.AllRuns changes nothing. A page may be
	// short, even empty, though there is a next one; what was put a moment ago may be missing.
	List(ctx context.Context, f Filter) (Page, error)

	// Keep keeps an event for a start to come, until KeptEvent.Until. One with the same key stays, unless
	// its time is over when the new one arrives. No run of the id changes what is kept.
	Keep(ctx context.Context, id string, e KeptEvent) error

	// Kept returns the events that are kept for an id and whose time is not over, in the order in which
	// they were kept.
	Kept(ctx context.Context, id string, now time.Time) ([]KeptEvent, error)

	// Drop removes kept events by their keys. Those that are not there are no error.
	Drop(ctx context.Context, id string, keys []string) error

	// Delete removes the run of an id with its operations, if it has the given run id. Nothing to
	// remove is no error.
	Delete(ctx context.Context, id, runID string) error

	// Close releases the store's resources.
	Close() error
}

// Snapshot is a run as a [Store] keeps it.
type Snapshot struct {
	Record
	Version      SnapshotVersion
	BackendRunID string    // the backend's own id of the run; empty until it has one
	SavedAt      time.Time // when it was last written; Put and Reserve take it as given
}

// SnapshotVersion orders what is written of an orchestration id: by the start of the run, then by how much of its
// history was known.
type SnapshotVersion struct {
	Start time.Time
	Event int64
}

// Compare returns a number below 0 if v is older than w, 0 if they are the same, above 0 otherwise.
func (v SnapshotVersion) Compare(w SnapshotVersion) int {
	return cmp.Or(v.Start.Compare(w.Start), cmp.Compare(v.Event, w.Event))
}

// KeptEvent is an event that came before the start of its orchestration.
type KeptEvent struct {
	Name      string
	Key       string // never empty
	Payload   Payload
	ArrivedAt time.Time
	Until     time.Time
}
