package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// startOf tries to start a run, as a client does.
func (b *bundle) startOf(id string) error {
	b.t.Helper()
	verdicts, err := b.Commit(b.t.Context(), []*lambdabiz.Commit{{At: b.now, Starts: []lambdabiz.RunStart{
		{ID: id, RunID: "run-of-" + id, Name: "Order"},
	}}})
	if err != nil {
		return err
	}
	return errors.Join(verdicts[0].Err, verdicts[0].Starts[0].Err)
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// Each name of a file has a log of its own: of what is written by two names, one half is lost in silence.
func TestOpenRefusesAFileWithTwoNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("one")
	other := filepath.Join(t.TempDir(), "other.db")
	if err := os.Link(b.path, other); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, b.path} {
		if two, err := sqlite.Open(path); !errors.Is(err, sqlite.ErrLinked) {
			t.Errorf("open %s: %v, %v", path, two, err)
		}
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	setupAt(t, b.path).load("one")
}

// A file is moved while somebody has it open: by its new name it would be the same file with another log, as
// one that is mounted alone in another place is.
func TestOpenRefusesAFileThatIsOpenByAnotherName(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	b := setup(t)
	b.start("one")
	for _, name := range []string{filepath.Join(filepath.Dir(b.path), "other.db"), filepath.Join(t.TempDir(), "test.db")} {
		move(t, b.path, name)
		if two, err := sqlite.Open(name); !errors.Is(err, sqlite.ErrLinked) {
			t.Errorf("open %s: %v, %v", name, two, err)
		}
		move(t, name, b.path)
	}
	two := setupAt(t, b.path)
	two.load("one")
	if err := errors.Join(two.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	other := b.path + ".moved"
	move(t, b.path, other)
	setupAt(t, other).load("one")
}

// What is written to a file that is not where its path says is lost for all others.
func TestNothingIsAcknowledgedInAFileThatWasMoved(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(t *testing.T, path string) (undo func()){
		"moved": func(t *testing.T, path string) func() {
			move(t, path, path+".moved")
			return func() { move(t, path+".moved", path) }
		},
		"removed": func(t *testing.T, path string) func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"replaced": func(t *testing.T, path string) func() {
			other := filepath.Join(t.TempDir(), "other.db")
			two, err := sqlite.Open(other)
			if err != nil {
				t.Fatal(err)
			}
			if err := two.Close(); err != nil {
				t.Fatal(err)
			}
			move(t, path, path+".moved")
			move(t, other, path)
			return func() { move(t, path+".moved", path) }
		},
		"its log removed": func(t *testing.T, path string) func() {
			if err := os.Remove(path + "-wal"); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"its log replaced": func(t *testing.T, path string) func() {
			move(t, path+"-wal", path+".moved")
			if err := os.WriteFile(path+"-wal", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() { move(t, path+".moved", path+"-wal") }
		},
		"the index of its log removed": func(t *testing.T, path string) func() {
			if err := os.Remove(path + "-shm"); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"its directory moved": func(t *testing.T, path string) func() {
			dir := filepath.Dir(path)
			move(t, dir, dir+".moved")
			return func() { move(t, dir+".moved", dir) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			b := setupAt(t, filepath.Join(dir, "test.db"))
			one := b.start("one").Run
			b.claim(1, 0) // looks
			b.load("one") // reads
			undo := disturb(t, b.path)
			wantErr(t, b.startOf("two"), sqlite.ErrMoved)
			_, err := b.Commit(t.Context(), []*lambdabiz.Commit{{Run: &one, At: b.now, Operations: []lambdabiz.Operation{b.operation(1)}}})
			wantErr(t, err, sqlite.ErrMoved)
			wantErr(t, b.Renew(t.Context(), b.worker), sqlite.ErrMoved)
			_, err = b.Claim(t.Context(), lambdabiz.ClaimRequest{Worker: b.worker, Names: []string{"Order"}, Limit: 1, Now: b.now})
			wantErr(t, err, sqlite.ErrMoved)
			_, err = b.Load(t.Context(), "one", "")
			wantErr(t, err, sqlite.ErrMoved)
			if undo == nil {
				return
			}
			undo()
			if err := b.startOf("two"); err != nil {
				t.Errorf("start when it is back: %v", err)
			}
			b.load("one")
		})
	}
}

// The file is moved while a commit is on its way: nobody may be told that it is on disk.
func TestACommitIntoAFileThatIsMovedMeanwhileIsUnknown(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	path := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: f.name})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{Backend: backend, t: t, path: path, now: time.Unix(1_800_000_000, 0)}
	defer backend.Close()
	for i, id := range []string{"single", "batch"} {
		f.onSync(func() { move(t, path, path+".moved") })
		if i == 0 {
			err = b.startOf(id)
		} else {
			_, err = b.Commit(t.Context(), []*lambdabiz.Commit{{At: b.now, Starts: []lambdabiz.RunStart{
				{ID: id, RunID: "1", Name: "Order"}, {ID: id + "2", RunID: "2", Name: "Order"},
			}}})
		}
		wantErr(t, err, sqlite.ErrMoved)
		wantErr(t, err, lambdabiz.ErrOutcomeUnknown)
		move(t, path+".moved", path)
	}
}

// Who has lost the path must not remove the files of the one who is there now, and brings what is in its own
// log into its own file.
func TestCloseLeavesTheFilesOfAnotherAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("one")
	moved := b.path + ".moved"
	move(t, b.path, moved)
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(b.path + end); err != nil {
			t.Fatal(err)
		}
	}
	other, err := sqlite.Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	two := &bundle{Backend: other, t: t, path: b.path, now: b.now}
	if err := errors.Join(two.startOf("two"), b.Close(), two.startOf("three")); err != nil {
		t.Fatal(err)
	}
	two.load("two")
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	setupAt(t, moved).load("one")
}

// The log was removed, and somebody else has made a new one: what is in the old one must not come between.
func TestCloseLeavesAFileWithAnotherLogAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("one")
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(b.path + end); err != nil {
			t.Fatal(err)
		}
	}
	other, err := sqlite.Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	two := &bundle{Backend: other, t: t, path: b.path, now: b.now}
	if err := errors.Join(two.startOf("two"), two.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(b.path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
	setupAt(t, b.path).load("two")
}

// The log in the path is of the file that somebody has open, whichever file is in the path now.
func TestOpenRefusesAFileInThePlaceOfAnOpenOne(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	b := setup(t)
	b.start("one")
	two := setup(t)
	two.start("two")
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	move(t, b.path, b.path+".moved")
	move(t, two.path, b.path)
	if three, err := sqlite.Open(b.path); !errors.Is(err, sqlite.ErrMoved) {
		t.Fatalf("open: %v, %v", three, err)
	}
	move(t, b.path, two.path)
	setupAt(t, two.path).load("two")
}

// SQLite would throw the log away, and all that is only in it.
func TestOpenRefusesALogWithoutItsFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("one")
	log, err := os.ReadFile(b.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path+"-wal", log, 0o600); err != nil {
		t.Fatal(err)
	}
	if two, err := sqlite.Open(path); !errors.Is(err, sqlite.ErrMoved) {
		t.Fatalf("open: %v, %v", two, err)
	}
	if after, err := os.ReadFile(path + "-wal"); err != nil || len(after) != len(log) {
		t.Errorf("the log has %d bytes of %d, %v", len(after), len(log), err)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	setupAt(t, path).start("one")
}

func lockOf(b *bundle, worker int64) string {
	return b.path + "-worker-" + strconv.FormatInt(worker, 10)
}

// Programs that clean directories remove lock files, and backups bring them back: that says nothing of a worker.
func TestAWorkerLivesWithoutItsLockFile(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(t *testing.T, path string){
		"removed": func(*testing.T, string) {},
		"replaced": func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a directory": func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := setup(t)
			two := setupAt(t, one.path)
			path := lockOf(one, two.worker)
			move(t, path, path+".away") // its number is not given to the one that comes in its place
			disturb(t, path)
			if all := one.workers(); all[1].Gone {
				t.Fatalf("without its lock file: %+v", all[1])
			}
			if name == "a directory" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			if err := two.Renew(t.Context(), two.worker); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				t.Fatalf("the lock file was not made again: %v, %v", info, err)
			}
			if all := one.workers(); all[1].Gone {
				t.Fatalf("with a new lock file: %+v", all[1])
			}
			if err := two.Close(); err != nil {
				t.Fatal(err)
			}
			if all := one.workers(); !all[1].Gone {
				t.Fatalf("after close: %+v", all[1])
			}
		})
	}
}

func TestLockFilesHaveTheModeOfTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := os.Chmod(b.path, 0o660); err != nil {
		t.Fatal(err)
	}
	worker := b.join("v1", "Order")
	info, err := os.Stat(lockOf(b, worker))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
