package lambdabiztest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// site is a line of a test, as go test shows it: that of the innermost caller outside of this package.
func site() string {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	own, more := frames.Next()
	inside := strings.TrimSuffix(own.Function, "site")
	for more {
		var frame runtime.Frame
		frame, more = frames.Next()
		if !strings.HasPrefix(frame.Function, inside) || strings.HasSuffix(frame.File, "_test.go") {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
	}
	return "unknown"
}

// complainf fails a test, with a line of it. Unlike tb.Errorf it does not name the line that calls it, which is one of
// this package, or of a worker.
func complainf(tb testing.TB, at, format string, args ...any) {
	tellf(tb, at, format, args...)
	tb.Fail()
}

// tellf is complainf without the failure.
func tellf(tb testing.TB, at, format string, args ...any) {
	text := strings.ReplaceAll(strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"), "\n", "\n    ")
	if _, err := fmt.Fprintf(tb.Output(), "%s: lambdabiztest: %s\n", at, text); err != nil {
		tb.Log(text, err)
	}
}
