package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// smallVolume mounts a file system of a size, for root where that is allowed. With CI=true nothing but the kernel's
// refusal lets a test be skipped.
func smallVolume(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes))
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENODEV):
		t.Skipf("a small file system cannot be mounted here: %v", err)
	case err != nil:
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast fills a volume but for some bytes, and returns what takes it away.
func ballast(t *testing.T, dir string, leave int64) (remove func()) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ballast")
	if err := os.WriteFile(path, make([]byte, int64(s.Bavail)*s.Bsize-leave), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// fat is a start with a payload of 20 kB.
func fat(b *bundle, id string) *lambdabiz.Commit {
	c := startOf(b, id)
	c.Starts[0].Input = bytes.Repeat([]byte{'x'}, 20_000)
	return c
}

// fill starts orchestrations until the disk is full, and returns how many were acknowledged.
func fill(t *testing.T, b *bundle, prefix string) int {
	t.Helper()
	for n := 0; ; n++ {
		if _, err := b.Commit(t.Context(), []*lambdabiz.Commit{fat(b, fmt.Sprint(prefix, n))}); err != nil {
			wantFull(t, err)
			return n
		}
	}
}

// The disk is really full, with no room at all and with some: each method says so, nothing is in doubt, and what
// was refused works when there is room again.
func TestRealFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallVolume(t, 8)
	b := setupAt(t, filepath.Join(dir, "test.db"))
	b.start("before")
	met := 0
	for i, leave := range []int64{0, 4096, 20_000, 60_000} {
		if err := b.Checkpoint("TRUNCATE"); err != nil {
			t.Fatal(err)
		}
		remove := ballast(t, dir, leave)
		for name, commit := range map[string][]*lambdabiz.Commit{
			"start": {fat(b, fmt.Sprint("start-", i))}, "batch": {fat(b, fmt.Sprint("one-", i)), fat(b, fmt.Sprint("two-", i))},
		} {
			if _, err := b.Commit(t.Context(), commit); err != nil {
				wantFull(t, err)
				met++
			} else if leave < 20_000 {
				t.Errorf("%s was written where there is no room", name)
			}
		}
		if _, err := b.Join(t.Context(), lambdabiz.WorkerInfo{}); err != nil {
			wantFull(t, err)
			met++
		}
		if _, err := sqlite.Open(filepath.Join(dir, fmt.Sprint("new-", i))); leave == 0 {
			if err == nil || !strings.Contains(err.Error(), "disk is full") {
				t.Errorf("a new file: %v", err)
			}
		}
		remove()
		if exists(b, fmt.Sprint("start-", i)) && leave == 0 {
			t.Error("what was refused is there")
		}
		b.commit(fat(b, fmt.Sprint("after-", i)))
	}
	b.integrity()
	campaign.Report(t, "F22", []campaign.Count{{What: "calls that met a full disk", N: met}})
}

// A volume on which the log could never become as long as it may: nearly all of it can be used, it does not stick
// when it is full, and what is purged makes room.
func TestVolumeSmallerThanTheLogMayGrow(t *testing.T) {
	t.Parallel()
	const megabytes = 10
	dir := smallVolume(t, megabytes)
	b := setupAt(t, filepath.Join(dir, "test.db"))
	remove := ballast(t, dir, (megabytes<<20)*3/4)
	first := fill(t, b, "first-")
	if first < 200 { // 4 MB of 7.5
		t.Errorf("full after %d orchestrations of 20 kB", first)
	}
	remove()
	second := fill(t, b, "second-")
	if second < 60 {
		t.Errorf("with 2.5 MB more it was full after %d more", second)
	}
	for n := range first {
		ref := &lambdabiz.RunRef{ID: fmt.Sprint("first-", n), RunID: fmt.Sprint("run-of-first-", n), Fence: 1}
		c := &lambdabiz.Commit{Run: ref, At: b.now, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}}
		if _, err := b.Commit(t.Context(), []*lambdabiz.Commit{c}); err != nil {
			t.Fatalf("end %d of %d: %v", n, first, err)
		}
	}
	if n, err := b.Purge(t.Context(), lambdabiz.PurgeRequest{EndedBefore: b.now.Add(time.Hour)}); n != first || err != nil {
		t.Fatalf("purged %d of %d: %v", n, first, err)
	}
	if third := fill(t, b, "third-"); third < first/2 {
		t.Errorf("full after %d more, where %d were purged", third, first)
	}
	b.integrity()
}

// Somebody reads for long while the disk fills up: the log cannot be copied back meanwhile, and is afterwards.
func TestLongReaderOnASmallVolume(t *testing.T) {
	t.Parallel()
	b := setupAt(t, filepath.Join(smallVolume(t, 10), "test.db"))
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { done <- b.HoldReader(t.Context(), held, release) }()
	<-held
	before := fill(t, b, "before-")
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if after := fill(t, b, "after-"); after < before/2 {
		t.Errorf("full after %d, and after the reader's end after %d more", before, after)
	}
	b.integrity()
}
