package dynamodb

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// maxSortKey is DynamoDB's limit of a sort key in bytes (quotas, "Partition keys and sort keys").
const maxSortKey = 1024

func FuzzSortKey(f *testing.F) {
	f.Add("a", "b")
	f.Add("", "\xff")
	f.Add(string(make([]byte, longestName)), string(make([]byte, longestName+1)))
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := sortKey(prefixEvent, a), sortKey(prefixEvent, b)
		if (x == y) != (a == b) {
			t.Errorf("%q and %q become %q and %q", a, b, x, y)
		}
		if len(x) > maxSortKey || utf8.ValidString(a) && !utf8.ValidString(x) {
			t.Errorf("%q becomes %q, which DynamoDB refuses", a, x)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add(int64(0), int64(1), int64(1_700_000_000_000_000), int64(0))
	f.Add(int64(-62_135_596_800_000_000), int64(9_223_372_036_854_775_807), int64(253_402_300_799_999_999), int64(-1))
	f.Fuzz(func(t *testing.T, startA, eventA, startB, eventB int64) {
		a := lambdabiz.SnapshotVersion{Start: time.UnixMicro(startA).UTC(), Event: eventA}
		b := lambdabiz.SnapshotVersion{Start: time.UnixMicro(startB).UTC(), Event: eventB}
		x, errA := formatVersion(a)
		y, errB := formatVersion(b)
		if errA != nil || errB != nil {
			return
		}
		if got, err := parseVersion(x); err != nil || !got.Start.Equal(a.Start) || got.Event != a.Event {
			t.Errorf("%+v becomes %q and comes back as %+v, %v", a, x, got, err)
		}
		before := a.Start.Before(b.Start) || a.Start.Equal(b.Start) && a.Event < b.Event
		if before != (x < y) {
			t.Errorf("%+v and %+v sort as %q and %q", a, b, x, y)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("2026-01-01T00:00:00.000000Z#x", "2026-01 1")
	f.Add("#", "")
	f.Add("9999", "0000-00-00 00")
	f.Fuzz(func(t *testing.T, cursor, text string) {
		l, err := newListing(&Store{}, lambdabiz.Filter{Cursor: cursor})
		if (err == nil) != (l != nil) {
			t.Errorf("%q gave %+v, %v", cursor, l, err)
		}
		if v, err := parseVersion(text); err == nil && v.Event >= 0 {
			if again, err := formatVersion(v); err != nil || len(again) < len(text) && again > text {
				t.Errorf("%q became %q, %v", text, again, err)
			}
		}
		_, _ = afterMonth(text) // an error, or not: no panic
	})
}
