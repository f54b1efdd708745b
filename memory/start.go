package memory

import (
	"maps"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// start applies one start of a commit.
func (b *Backend) start(c *lambdabiz.Commit, s lambdabiz.RunStart) lambdabiz.StartVerdict {
	if existing := b.find(s.ID, s.RunID); s.RunID != "" && existing != nil {
		v := existingVerdict(existing, nil) // the run's own start, come twice
		// Where a start does not claim, a worker that holds the run has its claim from elsewhere.
		claims := s.Claim && !b.config.CommitEndsClaim
		if claims && existing.open() && existing.info.Worker == c.Worker && c.Worker != 0 {
			v.Run = existing.ref() // the answer to the first one was lost
		}
		return v
	}
	if latest := b.latest(s.ID); latest != nil {
		create, err := judge(latest, s)
		if err != nil || !create {
			return existingVerdict(latest, err)
		}
	}
	r := b.create(s, c.At)
	r.info.Parent = cloneParent(s.Parent)
	kept := b.takeKept(r, c.At)
	verdict := lambdabiz.StartVerdict{Created: true}
	if b.claimAtStart(r, c, s) {
		verdict.Messages = kept
		verdict.Run = r.ref()
	} else {
		verdict.Run = lambdabiz.RunRef{ID: r.info.ID, RunID: r.info.RunID}
		b.schedule(r)
	}
	verdict.Info = cloneInfo(r.info)
	return verdict
}

func existingVerdict(r *run, err error) lambdabiz.StartVerdict {
	return lambdabiz.StartVerdict{
		Err:  err,
		Run:  lambdabiz.RunRef{ID: r.info.ID, RunID: r.info.RunID},
		Info: cloneInfo(r.info),
	}
}

// judge says what a start does to an id that has a run: fail, create another, or answer with it.
func judge(latest *run, s lambdabiz.RunStart) (create bool, err error) {
	if latest.info.Name != s.Name {
		return false, lambdabiz.ErrExists
	}
	ended := !latest.open()
	switch s.Policy {
	case lambdabiz.RejectExisting:
		return false, lambdabiz.ErrExists
	case lambdabiz.RejectOpen:
		if !ended {
			return false, lambdabiz.ErrExists
		}
		return true, nil
	case lambdabiz.RestartEnded:
		return ended, nil
	case lambdabiz.RestartFailed:
		return ended && latest.info.Status != lambdabiz.StatusSucceeded, nil
	default:
		return false, nil
	}
}

// create makes a new run, which is due at once.
func (b *Backend) create(s lambdabiz.RunStart, at time.Time) *run {
	b.lastRun++
	r := &run{
		info: lambdabiz.RunInfo{
			ID: s.ID, RunID: s.RunID, Name: s.Name, Mode: s.Mode,
			Status:      lambdabiz.StatusScheduled,
			Input:       clonePayload(s.Input),
			Tags:        maps.Clone(s.Tags),
			Deadline:    stamp(s.Deadline),
			ScheduledAt: at,
		},
		keys:  map[string]bool{},
		place: b.lastRun,
		kick:  true,
	}
	b.ids[s.ID] = append(b.ids[s.ID], r)
	return r
}

// claimAtStart gives the new run to the committing worker if that is possible: a worker that has been
// removed gets nothing, and where commits end claims this commit ends it.
func (b *Backend) claimAtStart(r *run, c *lambdabiz.Commit, s lambdabiz.RunStart) bool {
	if !s.Claim || b.config.CommitEndsClaim {
		return false
	}
	w := b.workers[c.Worker]
	if s.Mode == lambdabiz.ModeHand {
		w = nil
	} else if w == nil {
		return false
	}
	r.hold(w)
	r.info.Status, r.info.StartedAt = lambdabiz.StatusStarted, c.At
	return true
}

// takeKept moves the events that were kept for a start into the new run's inbox.
func (b *Backend) takeKept(r *run, at time.Time) []lambdabiz.Message {
	if s := b.kept[r.info.ID]; s != nil {
		for _, k := range s.list {
			if k.until.After(at) {
				b.deliverEvent(r, k.raise, k.at)
			}
		}
	}
	delete(b.kept, r.info.ID)
	return r.messages.above(0)
}

// next makes the run that continues r. It gets what waits for the orchestration: events, a
// cancellation, a pause. What came for operations of r, the end of a child, is r's own affair, for
// operation numbers begin anew.
func (b *Backend) next(r *run, s lambdabiz.RunStart, at time.Time) *run {
	s.ID = r.info.ID
	n := b.create(s, at)
	n.info.Parent = cloneParent(r.info.Parent)
	n.info.Previous = r.info.RunID
	n.info.CancelRequested, n.info.CancelReason = r.info.CancelRequested, r.info.CancelReason
	n.info.Paused, n.info.PauseReason = r.info.Paused, r.info.PauseReason
	n.keys = r.keys
	r.messages.move(&n.messages, movesOn)
	return n
}

func movesOn(m lambdabiz.Message) bool {
	return m.Kind == lambdabiz.MessageEvent || m.Kind == lambdabiz.MessageCancel || m.Kind == lambdabiz.MessageDrop
}
