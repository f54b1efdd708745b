package memory

import (
	"cmp"
	"maps"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// start applies one start of a commit.
func (b *Backend) start(c *lambdabiz.Commit, s lambdabiz.RunStart) lambdabiz.StartVerdict {
	s.Claim = s.Claim && !b.config.CommitEndsClaim // this commit would end it
	if existing := cmp.Or(b.find(s.ID, s.RunID), b.latest(s.ID)); existing != nil {
		create, err := rules.Start(&existing.head, &s)
		if err != nil || !create {
			v := existingVerdict(existing, err)
			if rules.StillHeld(&existing.head, &s, c.Worker) {
				v.Run = existing.ref()
			}
			return v
		}
	}
	r := b.create(s, rules.New(&s, c.Worker), c.At, map[string]bool{})
	kept := b.takeKept(r, c.At)
	verdict := lambdabiz.StartVerdict{Created: true, Run: r.ref()}
	if r.head.Held {
		verdict.Messages = kept
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

// create makes a new run.
func (b *Backend) create(s lambdabiz.RunStart, h rules.Head, at time.Time, keys map[string]bool) *run {
	b.lastRun++
	h.Parent = cloneParent(h.Parent)
	r := &run{
		info: lambdabiz.RunInfo{
			ID: h.ID, RunID: h.RunID, Name: h.Name, Mode: h.Mode, Parent: h.Parent,
			Input:       clonePayload(s.Input),
			Tags:        maps.Clone(s.Tags),
			Deadline:    stamp(s.Deadline),
			ScheduledAt: at,
		},
		keys:  keys,
		place: b.lastRun,
	}
	if h.Status == lambdabiz.StatusStarted {
		r.info.StartedAt = at
	}
	b.ids[h.ID] = append(b.ids[h.ID], r)
	b.set(r, h)
	return r
}

// takeKept moves the events that were kept for a start into the new run's inbox.
func (b *Backend) takeKept(r *run, at time.Time) []lambdabiz.Message {
	if s := b.kept[r.info.ID]; s != nil {
		for i := range s.list {
			if k := &s.list[i]; rules.Lasts(k.until, at) {
				b.deliverEvent(r, &k.raise, k.at)
			}
		}
	}
	delete(b.kept, r.info.ID)
	return r.messages.above(0)
}
