package rules

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Started is the run after a commit that says that its code runs. It reports false when that is nothing new.
func Started(h Head) (Head, bool) {
	if h.Status != lambdabiz.StatusScheduled {
		return h, false
	}
	h.Status = lambdabiz.StatusStarted
	return h, true
}

// Release is the run after its holder has let it go: due at its time, or at once when somebody resumed it meanwhile, or when
// there is a message that the holder has not seen, in its own commit too. A run that is paused is due when it is resumed.
// The fence moves, so that the holder can write no more. Beside the head, Blocked is kept, and Version if it is not empty.
func Release(h Head, r *lambdabiz.Release, unseen bool) Head {
	resumed := IsAtOnce(h.Due) // while it was held: see Head.Due
	switch {
	case h.Paused:
		h.Due = time.Time{}
	case resumed, unseen && r.Blocked == nil:
		h.Due = AtOnce()
	default:
		h.Due = r.WakeAt
	}
	h.Held, h.Worker = false, 0
	h.Fence++
	h.Blocked = r.Blocked != nil
	h.Crashes, h.Mark = 0, 0
	return h
}

// Close is the run after a commit has ended it. A run that has ended stays as it is: the commit may have terminated it
// itself, before. With Close.Next there is a run that continues it: [Next].
func Close(h Head, c *lambdabiz.Close, at time.Time) Change {
	if !h.Open() {
		return Change{Head: h}
	}
	return end(h, c, at)
}

// end ends a run. Whatever does so tells a parent that waits, but for a run that goes on as another: that one will.
func end(h Head, c *lambdabiz.Close, at time.Time) Change {
	change := Change{Head: h.end(c.Status), Error: c.Error}
	if h.Parent == nil || h.Parent.Detached || c.Next != nil {
		return change
	}
	change.Outcome = &lambdabiz.Message{
		Kind: lambdabiz.MessageChild, Name: h.ID, Operation: h.Parent.Operation, ArrivedAt: at,
		Status: c.Status, Payload: c.Result, Error: c.Error,
	}
	return change
}
