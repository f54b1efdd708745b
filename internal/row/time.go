package row

import "time"

// Micros is a time since 1970, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// After is the time from base to t. It reports false for the zero time, which is NULL.
func After(t, base time.Time) (micros int64, ok bool) {
	if t.IsZero() {
		return 0, false
	}
	return t.UnixMicro() - Micros(base), true
}

// Time is the time that is so long after base; [After] has written it. With the zero time as base it is a time that stands
// for itself.
func Time(micros int64, base time.Time) time.Time { return time.UnixMicro(Micros(base) + micros).UTC() }
