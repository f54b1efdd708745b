package backendtest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// recorder is a reporter that remembers instead of failing a test.
type recorder struct{ failures []string }

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Failing runs the named check, or all of them for an empty name, and returns those that fail, with
// the reasons.
func Failing(open func() lambdabiz.Backend, name string) map[string][]string {
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
					r.failures = append(r.failures, fmt.Sprint(p))
				}
			}()
			b := open()
			if c.inapplicable(b.Describe()) != "" {
				return
			}
			h := newHarness(r, b)
			h.reopen = func() lambdabiz.Backend { return b }
			c.run(h)
		}()
		<-done
		if len(r.failures) > 0 {
			failing[c.name] = r.failures
		}
	}
	return failing
}

// Differs runs scripts of the differential test until one differs, and returns the difference.
func Differs(b lambdabiz.Backend, scripts int) error {
	backends := map[string]lambdabiz.Backend{"sabotaged": b}
	for seed := range scripts {
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		draw := func(n int, _ string) int { return random.IntN(n) }
		if err := differ(draw, backends, b.Describe().CommitEndsClaim, map[string]int{}); err != nil {
			return fmt.Errorf("script %d: %w", seed, err)
		}
	}
	return nil
}

// FailingInBubble runs the named check on a home with a clock of its own, and returns why it fails.
func FailingInBubble(t *testing.T, config Config, name string) []string {
	t.Helper()
	r := &recorder{}
	for _, c := range allChecks() {
		if c.name != name {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			b := config.Open(t)
			if why := c.inapplicable(b.Describe()); why != "" {
				t.Fatalf("check %q does not apply: %s", name, why)
			}
			h := newHarness(r, b)
			h.setTime = func(now time.Time) { config.SetTime(t, b, now) }
			h.precision, h.late = config.Precision, config.Late
			h.reach(epoch)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.run(h)
			}()
			<-done
		})
		return r.failures
	}
	t.Fatalf("no check has the name %q", name)
	return nil
}
