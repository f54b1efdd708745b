package lambdabiz

import (
	"runtime"
)

// intercepted is what an interceptor is told of a call besides.
type intercepted struct {
	result     any  // a pointer to where the result goes
	registered bool // a task or a service that is known by its name
}

// intercepted returns nil without an interceptor.
func (v *env) intercepted(result any) *intercepted {
	if v.interceptor == nil {
		return nil
	}
	return &intercepted{result: result}
}

// runID makes an id that no other run has: at random, or as the test says that stands behind the backend.
func (v *env) runID(orchestration string, from ...string) string {
	if v.interceptor == nil {
		return newRunID()
	}
	return v.interceptor.RunID(orchestration, from...)
}

// leaveTheDead ends the goroutine of a body that a dead process of a test would begin.
func (v *env) leaveTheDead() {
	if v.interceptor != nil && !v.interceptor.Alive() {
		runtime.Goexit()
	}
}
