package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fault"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

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

// start creates a run, unless its id is used and the policy says otherwise.
func (t *tx) start(c *lambdabiz.Commit, s *lambdabiz.RunStart) (lambdabiz.StartVerdict, error) {
	existing, err := t.runOf(s)
	if err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	if existing != nil {
		if create, refusal := rules.Start(&existing.head, s); !create {
			return existingVerdict(existing, c, s, refusal), nil
		}
	}
	h := &head{Head: rules.New(s, c.Worker)}
	fault.Point("start.insert")
	if err := t.insert(c, s, h, nil); err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	fault.Point("start.inserted")
	if err := t.deliverKept(c, h); err != nil {
		return lambdabiz.StartVerdict{}, err
	}
	fault.Point("start.kept")
	v := lambdabiz.StartVerdict{Created: true, Run: h.ref()}
	if h.Held {
		v.Messages, err = t.prepare(qMessages).int(h.no).messages()
	}
	return v, err
}

// proceed begins the run that continues one that ends, and gives it what came for that one.
func (t *tx) proceed(c *lambdabiz.Commit, before *head) error {
	h := &head{Head: rules.Next(before.Head, c.Close.Next)}
	if err := t.insert(c, c.Close.Next, h, before); err != nil {
		return err
	}
	fault.Point("continue.inherit")
	if h.Paused || h.Cancelled {
		if err := t.setState(h.no, &h.Head); err != nil {
			return err
		}
	}
	return t.prepare(qMoveMessages).int(h.no).int(before.no).exec()
}

// insert inserts a new run, which continues the one before, if that is not nil.
func (t *tx) insert(c *lambdabiz.Commit, s *lambdabiz.RunStart, h, before *head) error {
	if err := t.prepare(qInsertRun).bindStart(c, s, h, before).exec(); err != nil {
		return err
	}
	h.no = t.db.LastInsertRowID()
	if h.chain == 0 {
		h.chain = h.no
	}
	t.wake = t.wake || !h.Due.IsZero()
	t.witnessStart(h)
	return nil
}

// existingVerdict answers a start whose id is used.
func existingVerdict(
	existing *stored, c *lambdabiz.Commit, s *lambdabiz.RunStart, refusal error,
) lambdabiz.StartVerdict {
	v := lambdabiz.StartVerdict{Err: refusal, Run: existing.ref(), Info: existing.record.RunInfo}
	if !rules.StillHeld(&existing.head, s, c.Worker) {
		v.Run.Fence = 0
	}
	return v
}

// bindStart binds the columns of a new run.
func (s *stmt) bindStart(c *lambdabiz.Commit, start *lambdabiz.RunStart, h, before *head) *stmt {
	s.int(int64(h.Status)).int(int64(h.Mode)).int(h.Fence).int(ownerOf(&h.Head)).time(h.Due).micros(c.At)
	if h.Status == lambdabiz.StatusStarted {
		s.int(0)
	} else {
		s.null()
	}
	s.after(start.Deadline, c.At)
	previous := ""
	if before == nil {
		s.null()
	} else {
		h.chain, previous = before.chain, before.RunID
		s.int(h.chain)
	}
	s.text(h.ID).text(h.RunID).optionalText(h.Name).tags(start.Tags)
	return s.json(h.Parent, h.Parent == nil).optionalText(previous).blob(start.Input)
}

// ref is the new run, with its fence if its start has claimed it.
func (h *head) ref() lambdabiz.RunRef {
	return lambdabiz.RunRef{ID: h.ID, RunID: h.RunID, Fence: h.Fence, Handle: h.no}
}

// witnessStart makes the new run id tell whether the transaction was applied: nobody else writes it.
func (t *tx) witnessStart(h *head) {
	id, runID := h.ID, h.RunID
	t.witness = func(c *conn) (bool, error) { return c.prepare(qRunIDHead).text(id).text(runID).found() }
}

// deliverKept moves the events that were kept for a start into the inbox of the new run.
func (t *tx) deliverKept(c *lambdabiz.Commit, h *head) error {
	var kept []lambdabiz.Message
	s := t.prepare(qFindKept).text(h.ID).micros(c.At)
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
		if err := t.deliverEvent(h, &kept[i]); err != nil {
			return err
		}
	}
	return t.prepare(qDropKept).text(h.ID).exec()
}
