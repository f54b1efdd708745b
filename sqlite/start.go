package sqlite

import (
	"fmt"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// claims reports whether the start gives the run to the worker that commits it.
func claims(s *lambdabiz.RunStart, c *lambdabiz.Commit) bool {
	return s.Claim && s.Mode == lambdabiz.ModeWorker && c.Worker > 0
}

// runOf is the run that a start finds: its own if it comes twice, also when that has continued as another one since,
// or else the latest of its id.
func (t *tx) runOf(s *lambdabiz.RunStart) (*stored, error) {
	latest, err := t.prepare(qLatest).text(s.ID).stored()
	if err != nil || latest == nil || latest.record.RunID == s.RunID {
		return latest, err
	}
	if own, err := t.prepare(qByRunID).text(s.ID).text(s.RunID).stored(); err != nil || own != nil {
		return own, err
	}
	return latest, nil
}

// start creates a run, unless its id is used and the policy says otherwise. A run that continues
// another one comes after it, whatever the policy.
func (t *tx) start(c *lambdabiz.Commit, s *lambdabiz.RunStart, after *head) (lambdabiz.StartVerdict, error) {
	if after == nil {
		existing, err := t.runOf(s)
		if err != nil {
			return lambdabiz.StartVerdict{}, err
		}
		if existing != nil {
			if v, create := existingVerdict(existing, c, s); !create {
				return v, nil
			}
		}
	}
	fault.Point("start.insert")
	if err := t.prepare(qInsertRun).bindStart(c, s, after).exec(); err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	fault.Point("start.inserted")
	no := t.db.LastInsertRowID()
	t.witnessStart(s)
	if err := t.deliverKept(c, s.ID, no, after); err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	v := lambdabiz.StartVerdict{Created: true, Run: startedRef(c, s, no)}
	fault.Point("start.kept")
	if after != nil {
		if err := t.inherit(no, after); err != nil {
			return v, err
		}
	}
	if v.Run.Fence == 0 {
		t.wake = true
		return v, nil
	}
	var err error
	v.Messages, err = t.prepare(qMessages).int(no).messages()
	return v, err
}

// inherit gives a run what came for the one before: its events, its cancellation and its pause. The
// outcomes of its children stay, for they belong to operations that the new run does not have.
func (t *tx) inherit(no int64, before *head) error {
	fault.Point("start.inherit")
	if err := t.prepare(qMoveMessages).int(no).int(before.no).exec(); err != nil {
		return err
	}
	if before.cancelled {
		if err := t.prepare(qInheritCancel).int(no).int(before.no).exec(); err != nil {
			return err
		}
	}
	if before.paused {
		return t.prepare(qInheritPause).int(no).int(before.no).exec()
	}
	return nil
}

// existingVerdict answers a start whose id is used, or says that a new run is to be created.
func existingVerdict(existing *stored, c *lambdabiz.Commit, s *lambdabiz.RunStart) (lambdabiz.StartVerdict, bool) {
	info := existing.record.RunInfo
	v := lambdabiz.StartVerdict{Run: existing.ref(), Info: info}
	v.Run.Fence = 0
	if info.RunID == s.RunID {
		// The same start has come twice. If its worker holds the run still as it was started, it may not
		// have heard so: it gets its fence again.
		if claims(s, c) && info.Worker == c.Worker && existing.fence == 1 {
			v.Run.Fence = existing.fence
		}
		return v, false
	}
	if info.Name != s.Name {
		v.Err = fmt.Errorf("it belongs to definition %q: %w", info.Name, lambdabiz.ErrExists)
		return v, false
	}
	open := !info.Status.Ended()
	switch s.Policy {
	case lambdabiz.RejectExisting:
		v.Err = lambdabiz.ErrExists
		return v, false
	case lambdabiz.RejectOpen:
		if open {
			v.Err = fmt.Errorf("it is open: %w", lambdabiz.ErrExists)
		}
		return v, !open
	case lambdabiz.RestartEnded:
		if !open {
			return v, true
		}
	case lambdabiz.RestartFailed:
		if !open && info.Status != lambdabiz.StatusSucceeded {
			return v, true
		}
	case lambdabiz.UseExisting:
	}
	return v, false
}

// bindStart binds the columns of a new run.
func (s *stmt) bindStart(c *lambdabiz.Commit, start *lambdabiz.RunStart, after *head) *stmt {
	held := start.Claim && (start.Mode == lambdabiz.ModeHand || c.Worker > 0)
	status := lambdabiz.StatusScheduled
	if held {
		status = lambdabiz.StatusStarted
	}
	s.int(int64(status)).int(int64(start.Mode)).bool(held)
	switch {
	case start.Mode == lambdabiz.ModeHand:
		s.int(handOwner).null()
	case held:
		s.int(c.Worker).null()
	default:
		s.int(0).int(atOnce)
	}
	s.int(micros(c.At))
	if held {
		s.int(0)
	} else {
		s.null()
	}
	s.after(start.Deadline, c.At)
	previous := ""
	parent := start.Parent
	if after == nil {
		s.null()
	} else {
		s.int(after.chain)
		previous = after.runID
		if parent == nil {
			parent = after.parent // who waits for the chain waits for its last run
		}
	}
	s.text(start.ID).text(start.RunID).optionalText(start.Name).tags(start.Tags)
	return s.json(parent, parent == nil).optionalText(previous).blob(start.Input)
}

func startedRef(c *lambdabiz.Commit, s *lambdabiz.RunStart, no int64) lambdabiz.RunRef {
	ref := lambdabiz.RunRef{ID: s.ID, RunID: s.RunID, Handle: no}
	if s.Claim && (s.Mode == lambdabiz.ModeHand || c.Worker > 0) {
		ref.Fence = 1
	}
	return ref
}

// witnessStart makes the new run id tell whether the transaction was applied: nobody else writes it.
func (t *tx) witnessStart(s *lambdabiz.RunStart) {
	id, runID := s.ID, s.RunID
	t.witness = func(c *conn) (bool, error) { return c.prepare(qRunIDHead).text(id).text(runID).found() }
}

// deliverKept moves the events that were kept for a start into the inbox of the new run.
func (t *tx) deliverKept(c *lambdabiz.Commit, id string, no int64, after *head) error {
	chain := no
	if after != nil {
		chain = after.chain
	}
	var kept []lambdabiz.Message
	s := t.prepare(qFindKept).text(id).int(micros(c.At))
	for s.next() {
		kept = append(kept, lambdabiz.Message{
			Kind: lambdabiz.MessageEvent, Name: s.getText(), Key: s.getText(),
			Payload: s.getBlob(), ArrivedAt: s.getTime(),
		})
	}
	if err := s.done(); err != nil {
		return err
	}
	for i := range kept {
		fault.Point("start.deliver")
		if err := t.insertMessage(no, &kept[i]); err != nil {
			return err
		}
		if kept[i].Key == "" {
			continue
		}
		if err := t.prepare(qInsertKey).int(chain).text(kept[i].Key).exec(); err != nil {
			return err
		}
	}
	return t.prepare(qDropKept).text(id).exec()
}
