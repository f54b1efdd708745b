package row_test

import (
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
)

// What these write is in files: a version that writes something else reads what is there wrong.

func TestTimesComeBack(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 1, 1, 12, 0, 0, 1000, time.UTC)
	for name, c := range map[string]struct {
		time, base time.Time
		micros     int64
	}{
		"for itself":      {base, time.Time{}, 1767268800000001},
		"the same":        {base, base, 0},
		"after":           {base.Add(time.Second), base, 1_000_000},
		"before":          {base.Add(-time.Second), base, -1_000_000},
		"1970":            {time.UnixMicro(0).UTC(), time.Time{}, 0},
		"before 1970":     {time.UnixMicro(-7).UTC(), time.Time{}, -7},
		"in another zone": {base.In(time.FixedZone("", 3600)), base, 0},
	} {
		micros, ok := row.After(c.time, c.base)
		if !ok || micros != c.micros {
			t.Errorf("%s: %d, %v, want %d", name, micros, ok, c.micros)
		}
		if got := row.Time(micros, c.base); got != c.time.UTC() {
			t.Errorf("%s: %v comes back as %v", name, c.time, got)
		}
	}
	if micros, ok := row.After(time.Time{}, base); ok || micros != 0 {
		t.Errorf("the zero time: %d, %v", micros, ok)
	}
	if got := row.Micros(time.Time{}); got != 0 {
		t.Errorf("the zero time is %d", got)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, good := range map[int64]bool{-1: false, 0: true, 7: true, 255: true, 256: false, 1 << 40: false} {
		if got, err := row.Byte(n); (err == nil) != good || good && int64(got) != n {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
}

func TestTagsStandAsTheyAre(t *testing.T) {
	t.Parallel()
	got, err := row.Tags(map[string]string{"b": "<&>", "a": "é\"\n"})
	if want := `{"a":"é\"\n","b":"<&>"}` + "\n"; got != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	for want, op := range map[int64]lambdabiz.Operation{0: {}, 1: {LastBeforeStop: true}, 2: {AfterStop: true}} {
		stop := row.Stop(&op)
		back := lambdabiz.Operation{LastBeforeStop: true, AfterStop: true}
		row.SetStop(&back, stop)
		if stop != want || back.LastBeforeStop != op.LastBeforeStop || back.AfterStop != op.AfterStop {
			t.Errorf("%+v is %d and comes back as %+v, want %d", op, stop, back, want)
		}
	}
}
