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

// restedLocked tells the test that all code of the run waits. It reports whether some of it goes on.
func (r *run) restedLocked() bool {
	if r.env.interceptor == nil {
		return false
	}
	woken := false
	for _, path := range r.env.interceptor.Rest(r.info.ID) {
		if w := r.intercepted[path]; w != nil {
			r.wakeLocked(w)
			woken = true
		}
	}
	return woken
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
