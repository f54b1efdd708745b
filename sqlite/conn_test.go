package sqlite_test

import (
	"context"
	"errors"
	"testing"
)

// A read whose context ended while its connection was opened said that SQLite was interrupted, and not why.
func TestReadWhoseContextEndsAsItsConnectionOpens(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	b, err := d.open(t)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.cutPowerAt(1, cancel) // the first call is the one that opens the file
	if _, err := b.Load(ctx, "a", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
