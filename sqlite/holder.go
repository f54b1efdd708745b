package sqlite

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// note is a small file beside the database, in which a process says since when it has been in a write: whoever is
// kept waiting learns for whom. It is made at the first write, and locked for as long as the process lives.
// Whoever holds the writer may use it.
type note struct {
	file  *anchor
	token int64
	open  *os.File
	flock *flock.Flock
	since int64 // what it says, 0 for nothing
	made  bool
	text  [8]byte
}

// In a note the time stands behind a byte that is locked, which may not be written elsewhere.
const (
	noteTime = 8
	noteText = 16
)

// noteHead is what a note says of its process, after the time.
type noteHead struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
}

func (a *anchor) notePrefix() string { return a.path + "-writer-" }

// begin says that this process has the file locked. A note that cannot be made, or written, is none: then others
// are not told.
func (n *note) begin() {
	if !n.made {
		n.made = true
		if err := n.make(); err != nil {
			n.drop()
		}
	}
	if n.open != nil && n.since == 0 {
		n.write(time.Now().UnixMicro())
	}
}

// end says that the write is over.
func (n *note) end() {
	if n.open != nil && n.since != 0 {
		n.write(0)
	}
}

func (n *note) write(since int64) {
	binary.LittleEndian.PutUint64(n.text[:], uint64(since)) //nolint:gosec // it is read the same way
	if _, err := n.open.WriteAt(n.text[:], noteTime); err != nil {
		n.drop()
		return
	}
	n.since = since
}

var errNoteTaken = errors.New("somebody else has locked the note of this process")

func (n *note) make() error {
	path := n.file.notePrefix() + strconv.FormatUint(uint64(n.token), 36) //nolint:gosec // a name
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	head, err := json.Marshal(noteHead{Host: host, PID: os.Getpid()})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n.open = f
	n.flock = flock.New(path, flock.SetFlag(os.O_RDONLY))
	switch locked, err := n.flock.TryRLock(); {
	case err != nil:
		return err
	case !locked:
		return errNoteTaken
	}
	// Once it says something, whoever finds it without a lock takes it for one of the dead.
	if _, err := f.WriteAt(append(make([]byte, noteText-noteTime), head...), noteTime); err != nil {
		return err
	}
	n.file.share(path)
	_, err = n.file.writers() // removes what processes that died have left
	return err
}

// drop removes the note.
func (n *note) drop() {
	if n.open == nil {
		return
	}
	_ = n.open.Close() // what it said does not matter any more
	_ = os.Remove(n.open.Name())
	if n.flock != nil {
		_ = n.flock.Close()
	}
	n.open, n.since = nil, 0
}

// writers reads the notes of all processes that are in a write, and removes those of the dead.
func (a *anchor) writers() ([]lambdabiz.Holder, error) {
	entries, err := os.ReadDir(filepath.Dir(a.path))
	if err != nil {
		return nil, fmt.Errorf("look for writers: %w", err)
	}
	prefix := filepath.Base(a.notePrefix())
	var all []lambdabiz.Holder
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(filepath.Dir(a.path), e.Name())
		if h, ok := readNote(path); ok {
			all = append(all, h)
		}
	}
	return all, nil
}

// readNote reads what a process says that lives and is in a write.
func readNote(path string) (lambdabiz.Holder, bool) {
	text, err := os.ReadFile(path)
	if err != nil || len(text) < noteText {
		return lambdabiz.Holder{}, false // it is gone, or just begun
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	if dead, err := l.TryLock(); err != nil {
		return lambdabiz.Holder{}, false
	} else if dead {
		_ = os.Remove(path) // nobody writes into it any more
		_ = l.Close()
		return lambdabiz.Holder{}, false
	}
	since := int64(binary.LittleEndian.Uint64(text[noteTime:])) //nolint:gosec // it was written the same way
	var head noteHead
	if since == 0 || json.Unmarshal(text[noteText:], &head) != nil {
		return lambdabiz.Holder{}, false
	}
	return lambdabiz.Holder{Host: head.Host, PID: head.PID, Since: time.UnixMicro(since).UTC()}, true
}

// LockedBy says who keeps others from writing: the process that has been in a write for the longest time, by its
// own word. With a patience it tries first whether the file can be locked within that time; then nil means that it
// can, and a Holder without a process that somebody else has locked it. Without it nil means that nobody has said
// so.
func (b *Backend) LockedBy(ctx context.Context, patience time.Duration) (*lambdabiz.Holder, error) {
	if patience > 0 {
		busy, err := b.isLocked(ctx, patience)
		if err != nil || !busy {
			return nil, err
		}
	}
	all, err := b.file.writers()
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	var first *lambdabiz.Holder
	for i, h := range all {
		if first == nil || h.Since.Before(first.Since) {
			first = &all[i]
		}
	}
	if first == nil && patience > 0 {
		first = &lambdabiz.Holder{}
	}
	return first, nil
}

// isLocked reports whether the write lock cannot be taken within the patience.
func (b *Backend) isLocked(ctx context.Context, patience time.Duration) (bool, error) {
	c, err := b.connect(ctx, false)
	if err != nil {
		return false, faultOf(ctx, "look for writers", err)
	}
	err = caught(func() error { return c.db.BusyTimeout(patience) })
	if err == nil {
		err = caught(func() error { return begin(ctx, c, patience) })
	}
	busy := isBusy(err) && ctx.Err() == nil
	if err != nil && !busy {
		c.discard()
		return false, faultOf(ctx, "look for writers", err)
	}
	if !caughtRollback(c) {
		c.discard()
		return busy, nil
	}
	return busy, c.close()
}

func caughtRollback(c *conn) bool {
	whole := false
	return caught(func() error { whole = c.rollback(); return nil }) == nil && whole
}

// LockedError says that somebody else kept the file locked for longer than Config.BusyTimeout, or than the caller
// wanted to wait. It is [lambdabiz.ErrBusy] too.
type LockedError struct {
	Holder lambdabiz.Holder // without a process if that is not known
	Err    error            // SQLite's
}

// Error names the process.
func (e *LockedError) Error() string { return e.Holder.String() + ": " + e.Err.Error() }

// Unwrap returns lambdabiz.ErrBusy and SQLite's error.
func (e *LockedError) Unwrap() []error { return []error{lambdabiz.ErrBusy, e.Err} }

// explainBusy says who was in the way.
func (b *Backend) explainBusy(ctx context.Context, err error) error {
	if !isBusy(err) || errors.Is(err, lambdabiz.ErrBusy) {
		return err
	}
	e := &LockedError{Err: err}
	if h, fault := b.LockedBy(ctx, 0); fault == nil && h != nil {
		e.Holder = *h
	}
	return e
}
