//go:build fault

package fault

import "sync/atomic"

var hit atomic.Pointer[func(name string)]

// Point calls what Set has set, with the name of the place.
func Point(name string) {
	if f := hit.Load(); f != nil {
		(*f)(name)
	}
}

// Set lets every Point call f from now on, from any goroutine, with locks of the caller held: f must use
// nothing of the engine or of a backend. nil ends that.
func Set(f func(name string)) {
	if f == nil {
		hit.Store(nil)
		return
	}
	hit.Store(&f)
}
