//go:build linux

package sqlite

import (
	"os"
	"path/filepath"
	"testing"
)

// The look at the paths before every answer finds what is open, and takes no other file for it.
func TestAGlanceFindsTheOpenFileOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	g, s := &glance{}, newSight(path)
	if !g.finds(s, info) {
		t.Error("the file is not found in its place")
	}
	if g.finds(s, nil) {
		t.Error("no file is found")
	}
	if err := os.Rename(path, path+"-moved"); err != nil {
		t.Fatal(err)
	}
	if g.finds(s, info) {
		t.Error("the file is found where it was")
	}
	if !g.finds(newSight(path+"-moved"), info) {
		t.Error("the file is not found where it is now")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if g.finds(s, info) {
		t.Error("another file is taken for it")
	}
}
