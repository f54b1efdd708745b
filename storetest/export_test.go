package storetest

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

// recorder is a reporter that remembers instead of failing a test.
type recorder struct {
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Names returns the names of all checks.
func Names() []string {
	var names []string
	for _, c := range allChecks() {
		names = append(names, c.name)
	}
	return names
}

// Failing runs the named check, or all of them for an empty name, and returns those that fail, with
// the reasons. The store refuses payloads of tooLarge bytes.
func Failing(open func() lambdabiz.Store, tooLarge int, name string) map[string][]string {
	failing := map[string][]string{}
	for _, c := range allChecks() {
		if name != "" && name != c.name {
			continue
		}
		r := &recorder{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				if p := recover(); p != nil {
					r.Errorf("%v", p)
				}
			}()
			s := open()
			c.run(&harness{reporter: r, s: s, other: s, tooLarge: tooLarge})
		}()
		<-done
		if len(r.failures) > 0 {
			failing[c.name] = r.failures
		}
	}
	return failing
}
