package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// unwritable reports whether a database is marked as one that nobody shall write: the file, or its
// directory, in which SQLite makes files of its own. A superuser could, and does not either.
func unwritable(path string) bool {
	for _, p := range []string{path, filepath.Dir(path)} {
		if stat, err := os.Stat(p); err == nil && stat.Mode().Perm()&0o222 == 0 {
			return true
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		return f.Close() != nil
	}
	return true // a file system that is mounted to be read, or somebody else's file
}

// copyToRead copies a database with its log to a directory of its own, where SQLite may write beside it.
func copyToRead(path string) (copied string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "lambdabiz-read-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	copied = filepath.Join(dir, "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		err := copyFile(path+suffix, copied+suffix)
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			continue // it was closed in order
		}
		if err != nil {
			return "", nil, errors.Join(fmt.Errorf("copy it to read it: %w", err), remove())
		}
	}
	return copied, remove, nil
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
