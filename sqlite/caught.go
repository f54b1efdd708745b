package sqlite

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// panicError is a panic of the driver, or of ours, as an error. Nobody knows what it has left of the connection
// on which it came: that one is closed, and never used again.
type panicError struct {
	value any
	where string // it came from
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v (%s)", e.value, e.where) }

func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// newPanicError is for the deferred function that has recovered the value.
func newPanicError(value any) *panicError {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") || !more {
			return &panicError{value, fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)}
		}
	}
}

// caught calls do, and returns its panic as an error.
func caught(do func() error) (err error) {
	defer recovered(&err)
	return do()
}

// recovered, deferred, puts a panic into err.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = newPanicError(p)
	}
}
