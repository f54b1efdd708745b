package wire

import (
	"strconv"
	"time"
)

// Seconds is a duration in whole seconds, rounded up, as SWF takes it: in eight digits, and of a year at most, when
// the run has ended.
func Seconds(d time.Duration) *string {
	d = min(max(d, 0), MaxRun)
	s := strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
	return &s
}

// Stamp is a time as a record has it: in microseconds, and without a clock of this process.
func Stamp(t time.Time) time.Time { return t.UTC().Round(0).Truncate(time.Microsecond) }
