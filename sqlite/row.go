package sqlite

import (
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// head is what a write needs to know of a run.
type head struct {
	no, fence int64
	status    lambdabiz.Status
	mode      lambdabiz.Mode
	owner     int64
	paused    bool
	cancelled bool
	blocked   bool
	wakeAt    time.Time
	chain     int64
	id, runID string
	name      string
	parent    *lambdabiz.Parent
}

const handOwner = -1

// head runs a statement that selects headColumns, and returns nil if it has no row.
func (s *stmt) head() (*head, error) {
	var h *head
	if s.next() {
		h = &head{
			no: s.getInt(), fence: s.getInt(), status: lambdabiz.Status(s.getByte()),
			mode: lambdabiz.Mode(s.getByte()), owner: s.getInt(), paused: s.getBool(),
			cancelled: s.getBool(), blocked: s.getBool(), wakeAt: s.getTime(), chain: s.getInt(),
			id: s.getText(), runID: s.getText(), name: s.getText(),
		}
		s.getJSON(&h.parent)
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

// stored is a run as it is read.
type stored struct {
	no, fence int64
	crashes   int
	record    lambdabiz.Record
}

func (s *stored) ref() lambdabiz.RunRef {
	return lambdabiz.RunRef{
		ID: s.record.ID, RunID: s.record.RunID, Fence: s.fence, Handle: s.no,
	}
}

func (s *stored) claimed() lambdabiz.Claimed {
	return lambdabiz.Claimed{Record: s.record, Ref: s.ref(), Crashes: s.crashes}
}

// run reads the row at which a statement that selects runColumns or listColumns stands.
func (s *stmt) run() *stored {
	r := &stored{no: s.getInt()}
	info := &r.record.RunInfo
	info.Status, info.Mode = lambdabiz.Status(s.getByte()), lambdabiz.Mode(s.getByte())
	r.fence = s.getInt()
	info.Worker = max(s.getInt(), 0)
	info.Paused, info.CancelRequested = s.getBool(), s.getBool()
	r.crashes = int(s.getInt())
	info.WakeAt, info.ScheduledAt = s.getTime(), s.getTime()
	base := info.ScheduledAt
	info.StartedAt, info.EndedAt, info.Deadline = s.getAfter(base), s.getAfter(base), s.getAfter(base)
	info.ID, info.RunID, info.Name = s.getText(), s.getText(), s.getText()
	s.getJSON(&info.Tags)
	s.getJSON(&info.Parent)
	s.getJSON(&info.Blocked)
	s.getJSON(&info.Orphans)
	info.Previous, info.ContinuedAs = s.getText(), s.getText()
	s.getJSON(&info.Error)
	info.PauseReason, info.CancelReason, info.Version = s.getText(), s.getText(), s.getText()
	if !info.Paused {
		info.PauseReason = "" // of a pause that is over
	}
	info.Input, info.Result, info.Progress = s.getBlob(), s.getBlob(), s.getBlob()
	if !info.WakeAt.IsZero() && micros(info.WakeAt) == atOnce {
		info.WakeAt = info.ScheduledAt
	}
	if info.Worker > 0 {
		info.WakeAt = time.Time{} // a resume that its holder has not seen, not a time of its own
	}
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
	s.after(op.DueAt, base).after(op.ExpiresAt, base).stop(op)
	s.text(op.ID).optionalText(op.Name).optionalText(op.Target).json(op.Error, op.Error == nil)
	return s.blob(op.Input).blob(op.Result).blob(op.Details)
}

// What the column stop says of an operation.
const (
	lastBeforeStop = 1
	afterStop      = 2
)

// stop binds what the operation says of the stop of its code.
func (s *stmt) stop(op *lambdabiz.Operation) *stmt {
	switch {
	case op.AfterStop:
		return s.int(afterStop)
	case op.LastBeforeStop:
		return s.int(lastBeforeStop)
	}
	return s.null()
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
	stop := s.getInt()
	op.LastBeforeStop, op.AfterStop = stop == lastBeforeStop, stop == afterStop
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

func (t *tx) insertMessage(no int64, m *lambdabiz.Message) error {
	s := t.prepare(qInsertMessage).int(no).int(int64(m.Kind)).time(m.ArrivedAt)
	s.optionalText(m.Name).optionalText(m.Key).int(m.Operation).int(int64(m.Status))
	return s.json(m.Error, m.Error == nil).blob(m.Payload).exec()
}
