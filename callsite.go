package lambdabiz

import (
	"fmt"
	"runtime"
	"strings"
)

// callSite is where the author's code called an operation. It is cheap to take; it is resolved only
// for a message.
type callSite struct{ pcs [6]uintptr }

// here takes the call site above the operation's own functions.
func here() callSite {
	var c callSite
	runtime.Callers(3, c.pcs[:])
	return c
}

// modulePath is how the functions of this package and of package rest begin.
const modulePath = "github.com/lambdabiz/lambdabiz"

// String returns file:line of the first frame that is not this library's, or "".
func (c callSite) String() string {
	n := 0
	for n < len(c.pcs) && c.pcs[n] != 0 {
		n++
	}
	if n == 0 {
		return ""
	}
	return authorLine(runtime.CallersFrames(c.pcs[:n]))
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
	rest, ok := strings.CutPrefix(function, modulePath)
	return strings.HasPrefix(function, "runtime.") || ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "/rest."))
}
