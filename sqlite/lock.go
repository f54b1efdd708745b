package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/gofrs/flock"
)

// workerLock is the lock file of a worker of this process.
type workerLock struct {
	flock *flock.Flock
	info  fs.FileInfo // of the file that is locked
	told  bool        // the worker's row says which file that is
}

// lockRow is what a worker's row says of its lock file, beside what the worker is. A file with another number says
// nothing of the worker: somebody has put it there.
type lockRow struct {
	Lock uint64 `json:"lock"` // 0 where files have no numbers
}

func (b *Backend) lockPath(worker int64) string {
	return b.file.path + "-worker-" + strconv.FormatInt(worker, 10)
}

// hold takes the lock of a worker of this process.
func (b *Backend) hold(worker int64) (*workerLock, error) {
	l, err := b.lock(worker)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	old := b.locks[worker]
	b.locks[worker] = l
	b.mu.Unlock()
	if old != nil {
		_ = old.flock.Close() // its file is not in its place
	}
	return l, nil
}

// tellLock says in the worker's row which file its lock is.
func (t *tx) tellLock(b *Backend, worker int64, l *workerLock) error {
	row := lockRow{fileNumber(l.info)}
	if err := t.prepare(qSetLock).int(worker).json(row, false).exec(); err != nil {
		return err
	}
	told := func(is bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		l.told = is
	}
	told(true)
	t.undo = append(t.undo, func() { told(false) })
	return nil
}

// holdStill makes the lock file of a worker again, if it is not the one that is held.
func (t *tx) holdStill(b *Backend, worker int64) error {
	b.mu.Lock()
	l := b.locks[worker]
	told := l != nil && l.told
	b.mu.Unlock()
	if l == nil {
		return nil // another process's, or another value's
	}
	info, err := os.Lstat(b.lockPath(worker))
	if err != nil || !os.SameFile(info, l.info) {
		if l, err = b.hold(worker); err != nil {
			return err
		}
		told = false
	}
	if !told {
		return t.tellLock(b, worker, l)
	}
	return nil
}

// lock makes a lock file, or takes one that is there, until it holds the one in the path.
func (b *Backend) lock(worker int64) (*workerLock, error) {
	path := b.lockPath(worker)
	for range 10 { // the process before may be about to remove the file, see letGo
		l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
		locked, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !locked {
			return nil, fmt.Errorf("lock %s: another process holds it", path)
		}
		info, err := l.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), l.Close())
		}
		if there, err := os.Lstat(path); err == nil && os.SameFile(info, there) {
			b.file.share(path)
			return &workerLock{flock: l, info: info}, nil
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("lock %s: somebody removes it again and again", path)
}

// share gives a lock file the rights of the database: who may use that must be able to ask for the lock. Where that
// is not allowed, others cannot know that the worker is gone, and wait for its lease.
func (a *anchor) share(path string) {
	if info, err := os.Stat(a.path); err == nil {
		giveTo(path, info)
		_ = os.Chmod(path, info.Mode().Perm())
	}
}

// letGo removes the lock file of a worker that is no more. The file goes before the lock: after a Join
// that failed, another process may be given the same number.
func (b *Backend) letGo(worker int64) {
	kept := os.Remove(b.lockPath(worker)) // without its row nobody looks for it
	b.mu.Lock()
	l := b.locks[worker]
	delete(b.locks, worker)
	delete(b.doubts, worker)
	b.mu.Unlock()
	if l != nil {
		_ = l.flock.Close() // nobody can want its lock any more
	}
	if kept != nil {
		_ = os.Remove(b.lockPath(worker)) // where an open file cannot be removed
	}
}

// isGone asks for a shared lock, which several may have at a time, so that observers do not take each
// other for the worker. It reports true only when it knows: the worker's own file is there, and nobody holds it.
func (b *Backend) isGone(worker int64, row lockRow) (bool, error) {
	b.mu.Lock()
	_, ours := b.locks[worker]
	b.mu.Unlock()
	if ours {
		return false, nil
	}
	path := b.lockPath(worker)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, unlessUnknown(worker, err)
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		return false, unlessUnknown(worker, err)
	}
	if !free {
		return false, l.Close()
	}
	held, err := l.Stat()
	if err = errors.Join(err, l.Close()); err != nil {
		return false, fmt.Errorf("lock of worker %d: %w", worker, err)
	}
	return fileNumber(held) == row.Lock, nil
}

// unlessUnknown is nil for what says nothing of the worker: its file was removed, or is not for this user.
func unlessUnknown(worker int64, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return fmt.Errorf("lock of worker %d: %w", worker, err)
}
