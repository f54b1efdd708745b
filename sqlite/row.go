package sqlite

import (
	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// head is a run as the rules see it, with its places in the tables.
type head struct {
	rules.Head
	no    int64
	chain int64 // under which its keys are
	told  bool  // the transaction has put a message into its inbox
}

const handOwner = -1

// ownerOf is who stands in the row. Whoever drives a run by hand may hold it as long as it is open.
func ownerOf(h *rules.Head) int64 {
	if h.Mode == lambdabiz.ModeHand && h.Open() {
		return handOwner
	}
	return h.Worker
}

// state reads the columns of stateColumns.
func (s *stmt) state() rules.Head {
	h := rules.Head{
		Fence: s.getInt(), Status: lambdabiz.Status(s.getByte()), Mode: lambdabiz.Mode(s.getByte()),
	}
	owner := s.getInt()
	h.Held, h.Worker = owner != 0, max(owner, 0)
	h.Paused, h.Cancelled, h.Blocked = s.getBool(), s.getBool(), s.getBool()
	h.Crashes, h.Mark, h.Due = s.getInt(), s.getInt(), s.getTime()
	h.ID, h.RunID, h.Name = s.getText(), s.getText(), s.getText()
	s.getJSON(&h.Parent)
	h.PauseReason = s.getTextIf(h.Paused) // else of a pause that is over
	h.CancelReason = s.getTextIf(h.Cancelled)
	return h
}

// head runs a statement that selects headColumns, and returns nil if it has no row.
func (s *stmt) head() (*head, error) {
	var h *head
	if s.next() {
		h = &head{no: s.getInt(), chain: s.getInt(), Head: s.state()}
	}
	return h, s.done()
}

// findHead returns the run with the run id, or the latest one of the id when that is empty; nil if
// there is none.
func (c *conn) findHead(id, runID string) (*head, error) {
	if runID == "" {
		return c.prepare(qLatestHead).text(id).head()
	}
	return c.prepare(qRunIDHead).text(id).text(runID).head()
}

// find is findHead. The run that the commit writes is the one that it has read: so each part of a commit sees what those
// before have done to it.
func (t *tx) find(id, runID string) (*head, error) {
	h, err := t.findHead(id, runID)
	if h != nil && t.own != nil && h.no == t.own.no {
		return t.own, err
	}
	return h, err
}

// ruled is the head for a rule, nil for none.
func ruled(h *head) *rules.Head {
	if h == nil {
		return nil
	}
	return &h.Head
}

// stored is a run as it is read.
type stored struct {
	no     int64
	head   rules.Head
	record lambdabiz.Record
}

func (s *stored) ref() lambdabiz.RunRef {
	return lambdabiz.RunRef{
		ID: s.record.ID, RunID: s.record.RunID, Fence: s.head.Fence, Handle: s.no,
	}
}

func (s *stored) claimed() lambdabiz.Claimed {
	return lambdabiz.Claimed{Record: s.record, Ref: s.ref(), Crashes: int(s.head.Crashes)}
}

// run reads the row at which a statement that selects runColumns or listColumns stands.
func (s *stmt) run() *stored {
	r := &stored{no: s.getInt(), head: s.state()}
	h, info := &r.head, &r.record.RunInfo
	info.ID, info.RunID, info.Name = h.ID, h.RunID, h.Name
	info.Status, info.Mode, info.Worker, info.Parent = h.Status, h.Mode, h.Worker, h.Parent
	info.Paused, info.PauseReason = h.Paused, h.PauseReason
	info.CancelRequested, info.CancelReason = h.Cancelled, h.CancelReason
	info.ScheduledAt = s.getTime()
	base := info.ScheduledAt
	info.WakeAt = h.WakeAt(base)
	info.StartedAt, info.EndedAt, info.Deadline = s.getAfter(base), s.getAfter(base), s.getAfter(base)
	s.getJSON(&info.Tags)
	s.getJSON(&info.Blocked)
	s.getJSON(&info.Orphans)
	info.Previous, info.ContinuedAs = s.getText(), s.getText()
	s.getJSON(&info.Error)
	info.Version = s.getText()
	info.Input, info.Result, info.Progress = s.getBlob(), s.getBlob(), s.getBlob()
	return r
}

// stored runs a statement that selects runColumns, and returns nil if it has no row.
func (s *stmt) stored() (*stored, error) {
	var r *stored
	if s.next() {
		r = s.run()
	}
	return r, s.done()
}

// fill reads the operations and the messages of a run.
func (c *conn) fill(r *stored) error {
	if err := c.readOperations(r); err != nil {
		return err
	}
	return c.readMessages(r)
}

func (c *conn) readOperations(r *stored) error {
	s := c.prepare(qOperations).int(r.no)
	for s.next() {
		r.record.Operations = append(r.record.Operations, s.operation())
	}
	return s.done()
}

func (c *conn) readMessages(r *stored) (err error) {
	r.record.Messages, err = c.prepare(qMessages).int(r.no).messages()
	return err
}

// bindOperation binds the columns of an operation, the run's number first.
func (s *stmt) bindOperation(no int64, op *lambdabiz.Operation) *stmt {
	base := op.ScheduledAt
	s.int(no).int(op.Number).int(int64(op.Kind)).int(int64(op.Status)).int(int64(op.Attempts))
	s.time(base).after(op.StartedAt, base).after(op.EndedAt, base)
	s.after(op.DueAt, base).after(op.ExpiresAt, base).optionalInt(row.Stop(op))
	s.text(op.ID).optionalText(op.Name).optionalText(op.Target).json(op.Error, op.Error == nil)
	return s.blob(op.Input).blob(op.Result).blob(op.Details)
}

// operation reads the row at which a statement that selects operationColumns stands.
func (s *stmt) operation() lambdabiz.Operation {
	op := lambdabiz.Operation{
		Number: s.getInt(), Kind: lambdabiz.Kind(s.getByte()), Status: lambdabiz.Status(s.getByte()),
		Attempts: int(s.getInt()), ScheduledAt: s.getTime(),
	}
	base := op.ScheduledAt
	op.StartedAt, op.EndedAt = s.getAfter(base), s.getAfter(base)
	op.DueAt, op.ExpiresAt = s.getAfter(base), s.getAfter(base)
	row.SetStop(&op, s.getInt())
	op.ID, op.Name, op.Target = s.getText(), s.getText(), s.getText()
	s.getJSON(&op.Error)
	op.Input, op.Result, op.Details = s.getBlob(), s.getBlob(), s.getBlob()
	return op
}

// messages runs a statement that selects messageColumns.
func (s *stmt) messages() ([]lambdabiz.Message, error) {
	var all []lambdabiz.Message
	for s.next() {
		all = append(all, s.message())
	}
	return all, s.done()
}

func (s *stmt) message() lambdabiz.Message {
	m := lambdabiz.Message{
		Number: s.getInt(), Kind: lambdabiz.MessageKind(s.getByte()), ArrivedAt: s.getTime(),
		Name: s.getText(), Key: s.getText(), Operation: s.getInt(), Status: lambdabiz.Status(s.getByte()),
	}
	s.getJSON(&m.Error)
	m.Payload = s.getBlob()
	return m
}

func (t *tx) insertMessage(h *head, m *lambdabiz.Message) error {
	h.told = true
	t.wake = true // whoever holds it is to hear
	s := t.prepare(qInsertMessage).int(h.no).int(int64(m.Kind)).time(m.ArrivedAt)
	s.optionalText(m.Name).optionalText(m.Key).int(m.Operation).int(int64(m.Status))
	return s.json(m.Error, m.Error == nil).blob(m.Payload).exec()
}
