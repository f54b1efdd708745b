package lambdabiz

import (
	"slices"
	"strings"
	"time"
)

// judgeCircleLocked is called when a branch has blocked or ended. It blocks the run if nothing can end what its function
// waits for: branches wait for each other, or a branch waits for itself. A wait is for the first of several branches to
// end, and it ends too when the branch that waits, or one around it, loses a race. So the function waits in vain if all
// code that could end its wait in one of these ways only waits itself. Code that is not in an operation may be about to
// race, so the verdict is put off for raceGrace while there is such code.
func (r *run) judgeCircleLocked() {
	if r.root.awaits == nil || r.doubted && !r.restLocked(0) {
		return
	}
	switch c := r.trail.search(r.root); {
	case c == nil:
	case r.restLocked(0):
		r.blockCircleLocked(c)
	default:
		r.doubted = true
		time.AfterFunc(raceGrace, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.doubted = false
			if c := (&circle{}); c.add(r.root) {
				r.blockCircleLocked(c)
			}
		})
	}
}

// blockCircleLocked blocks the run if no race ends any of the waits.
func (r *run) blockCircleLocked(c *circle) {
	if r.phase != phaseLive || r.closing != nil || !r.addRacesLocked(c) {
		return
	}
	at := r.root // it waits for the circle, and need not be in it: follow the waits until one comes again
	for seen := map[*scope]bool{}; !seen[at]; at = at.awaits[0].s {
		seen[at] = true
	}
	c = &circle{}
	c.add(at)
	var waits []string
	for _, s := range c.waiting {
		waits = append(waits, s.waitText())
	}
	b := Blocked{Operation: at.path, Reason: "branches wait for each other: " + strings.Join(waits, ", ")}
	if len(waits) == 1 {
		b.Reason = "a branch waits for itself: " + waits[0]
	}
	if at.busy != nil {
		b.Source = at.busy.String()
	}
	r.blockLocked(b)
}

// addRacesLocked adds the scopes that race something in the circle against something else: if that wins, what is in the
// circle ends. It reports whether all of them only wait.
func (r *run) addRacesLocked(c *circle) bool {
	for more := true; more; {
		more = false
		for _, p := range r.record.places {
			s := p.scope
			if s == nil || s.racing == nil || s.isClosed() || s.branch.ended || s.met == &c.mark {
				continue
			}
			if !slices.ContainsFunc(s.racing, c.isInside) {
				continue
			}
			if !c.add(s) {
				return false
			}
			more = true
		}
	}
	return true
}

// raceGrace is how long a race waits at most for the code of a branch that knows of something earlier, and is
// about to end with it or to go on: it may as well compute, or be blocked by itself.
const raceGrace = time.Second
