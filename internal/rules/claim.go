package rules

import (
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Claim is the run after it was given to a worker, 0 for one who drives it by hand, under a new fence.
func Claim(h Head, worker int64) Head {
	h.Fence++
	h.Held, h.Worker, h.Due = true, worker, time.Time{}
	return h
}

// Fair picks at most limit of the runs that are due, the longest waiting first in both lists. At least half of the places are
// for those that are due by time, or a stream of new runs and messages would keep them waiting. more reports whether some
// are left.
func Fair[T any](byTime, atOnce []T, limit int) (picked []T, more bool) {
	first := min(len(byTime), max((limit+1)/2, limit-len(atOnce)))
	picked = slices.Concat(byTime[:first], atOnce, byTime[first:])
	if len(picked) > limit {
		return picked[:limit], true
	}
	return picked, false
}

// Leaves reports whether a worker of a version leaves a run to others that was blocked by a version: its own has blocked it,
// and others, which says whether a worker of another version serves the definition, knows one.
func Leaves(h *Head, by, version string, others func(name string) bool) bool {
	return h.Blocked && by == version && others(h.Name)
}

// Unblocks is a run after a worker has joined. It reports false for one that the worker leaves as it is: only one that was
// blocked by another version, and that nothing else keeps, is due again.
func Unblocks(h Head, by string, w *lambdabiz.WorkerInfo) (Head, bool) {
	if !h.Blocked || !h.Claimable() || by == w.Version || !slices.Contains(w.Names, h.Name) {
		return h, false
	}
	h.Due = AtOnce()
	return h, true
}

// Taken is the run after it was taken from a holder that did not release it: the worker has left by itself, or does not know
// that it has the run. The fence moves now and not with the next claim: whoever held it can record nothing any more.
func Taken(h Head) Head {
	h.Held, h.Worker, h.Due = false, 0, AtOnce()
	if h.Paused {
		h.Due = time.Time{}
	}
	h.Fence++
	return h
}

// Crashed is the run after its holder has died: taken, and one crash more. Whether the holder got further than the one before
// is judged when the run is claimed, see [Judge]: nobody writes its operations until then, and they are read there.
func Crashed(h Head) Head {
	h = Taken(h)
	h.Crashes++
	return h
}

// Judge begins the count of a run's crashes anew if more of it is recorded than when it crashed before. It is asked with what
// is claimed.
func Judge(h Head, recorded int64) Head {
	if h.Crashes > 0 && recorded > h.Mark {
		h.Crashes, h.Mark = 1, recorded
	}
	return h
}

// Recorded says how much of a run is recorded. It grows with each operation, with its attempts, and with its end.
func Recorded(operations []lambdabiz.Operation) int64 {
	n := int64(0)
	for i := range operations {
		o := &operations[i]
		n += 1 + int64(o.Attempts)
		if o.Status.Ended() {
			n++
		}
	}
	return n
}

// setAside is when a run that cannot be read is tried again: the store may be repaired, or a worker come that is newer.
const setAside = 5 * time.Minute

// Unreadable is why a run is blocked that cannot be read: it must not hold up the others. It is released with that. Without
// a time it is only said, in a list.
func Unreadable(why error, at time.Time) *lambdabiz.Blocked {
	b := &lambdabiz.Blocked{Reason: "its record cannot be read: " + why.Error(), Times: 1, Since: at}
	if !at.IsZero() {
		b.RetryAt = at.Add(setAside)
	}
	return b
}
