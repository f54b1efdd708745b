package lambdabiz

import (
	"fmt"
	"runtime"
	"strings"
)

// callSite is where the author's code called an operation. It is cheap to take; it is resolved only
// for a message.
type callSite struct {
	pcs   [6]uintptr
	begun *callSite // of the branch around it; nil for none
}

// modulePath is how the functions of this package begin, and those of packages that have operations.
const modulePath = "github.com/lambdabiz/lambdabiz"

// String returns file:line of the first frame that is not this library's, or "". Where a branch runs the library's own
// code, as Map and GoChild have it, it is the line where the branch was begun.
func (c callSite) String() string {
	n := 0
	for n < len(c.pcs) && c.pcs[n] != 0 {
		n++
	}
	if n > 0 {
		if line := authorLine(runtime.CallersFrames(c.pcs[:n])); line != "" {
			return line
		}
	}
	if c.begun != nil {
		return c.begun.String()
	}
	return ""
}

// goexitLine is the line in the author's code where the calling goroutine ends, for what it has deferred.
func goexitLine() string {
	var pcs [32]uintptr
	return authorLine(runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])]))
}

func authorLine(frames *runtime.Frames) string {
	for {
		f, more := frames.Next()
		if f.Function != "" && !ownFrame(f.Function) {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !more {
			return ""
		}
	}
}

func ownFrame(function string) bool {
	if strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "testing.") {
		return true
	}
	rest, ok := strings.CutPrefix(function, modulePath)
	if !ok {
		return false
	}
	for _, own := range []string{".", "/rest.", "/postgres.", "/sqlite."} {
		if strings.HasPrefix(rest, own) {
			return true
		}
	}
	return false
}
