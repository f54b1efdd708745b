package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTheSameProgramGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	program := strings.Repeat("a program ", 10_000)
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := pack(out, iotest.OneByteReader(strings.NewReader(program))); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one program differ")
	}
	archive, err := zip.NewReader(bytes.NewReader(first.Bytes()), int64(first.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.File) != 1 {
		t.Fatalf("%d files, want bootstrap alone", len(archive.File))
	}
	file := archive.File[0]
	if file.Name != "bootstrap" || file.Mode() != 0o755 {
		t.Errorf("%s with mode %v, want bootstrap, which all may run", file.Name, file.Mode())
	}
	content, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(content); err != nil || string(got) != program {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
}

func TestABrokenBuildGivesNoArchive(t *testing.T) {
	t.Parallel()
	if err := pack(io.Discard, strings.NewReader("")); err == nil {
		t.Error("an empty program was packed")
	}
	broken := errors.New("broken pipe")
	if err := pack(io.Discard, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want what reading said", err)
	}
}
