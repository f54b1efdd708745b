package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// unreadableError is a row that says what this version does not understand.
type unreadableError struct{ err error }

// Error says what could not be read.
func (e *unreadableError) Error() string { return e.err.Error() }

// Unwrap returns why.
func (e *unreadableError) Unwrap() error { return e.err }

func isUnreadable(err error) bool {
	var u *unreadableError
	return errors.As(err, &u)
}

// decoder turns the columns of one row into what they mean, and keeps the first thing that it does not understand.
type decoder struct{ err error }

func (d *decoder) note(what string, err error) {
	if err != nil && d.err == nil {
		d.err = &unreadableError{fmt.Errorf("%s: %w", what, err)}
	}
}

func (d *decoder) byte(what string, n int16) uint8 {
	b, err := row.Byte(int64(n))
	d.note(what, err)
	return b
}

func (d *decoder) text(what string, s *string) string {
	if s == nil {
		return ""
	}
	t, err := plain(*s)
	d.note(what, err)
	return t
}

func (d *decoder) json(what string, s *string, into any) {
	if s != nil {
		d.note(what, json.Unmarshal([]byte(*s), into))
	}
}

func (d *decoder) time(micros *int64, base time.Time) time.Time {
	if micros == nil {
		return time.Time{}
	}
	return row.Time(*micros, base)
}

// handOwner is the owner of an open run that is driven by hand.
const handOwner = -1

// ownerOf is who stands in the row. Whoever drives a run by hand may hold it as long as it is open.
func ownerOf(h *rules.Head) int64 {
	if h.Mode == lambdabiz.ModeHand && h.Open() {
		return handOwner
	}
	return h.Worker
}

// stored is a run as it is in the table, with its operations and messages where they were asked for.
type stored struct {
	no, chain, lastMessage int64
	latest, news           bool
	head                   rules.Head
	record                 lambdabiz.Record
	broken                 error // it cannot be read
}

// isPlace reports whether the row only keeps the place of a run.
func (s *stored) isPlace() bool { return s.head.Status == 0 && s.broken == nil }

func (s *stored) ref() lambdabiz.RunRef {
	return lambdabiz.RunRef{ID: s.record.ID, RunID: s.record.RunID, Fence: s.head.Fence, Handle: s.no}
}

func (s *stored) claimed() lambdabiz.Claimed {
	return lambdabiz.Claimed{Record: s.record, Ref: s.held(), Crashes: int(s.head.Crashes)}
}

// reflect makes the info say what the head does.
func (s *stored) reflect() {
	h, info := &s.head, &s.record.RunInfo
	info.Status, info.Mode, info.Worker = h.Status, h.Mode, h.Worker
	info.Paused, info.PauseReason = h.Paused, h.PauseReason
	info.CancelRequested, info.CancelReason = h.Cancelled, h.CancelReason
	info.WakeAt = h.WakeAt(info.ScheduledAt)
	if !h.Blocked {
		info.Blocked = nil
	}
}

// scanRun reads a row of runColumns. What is not understood is the run's own fault, and not of those after it.
func scanRun(rows pgx.Rows) (*stored, error) {
	s := &stored{}
	h, info := &s.head, &s.record.RunInfo
	var owner, scheduled int64
	var due, started, ended, deadline *int64
	var crashes int32
	var status, mode int16
	var id, runID, name string
	var parent, pause, cancel, tags, blocked, orphans, previous, next, failure, version *string
	err := rows.Scan(&s.no, &due, &h.Fence, &owner, &s.lastMessage, &s.chain, &h.Mark, &scheduled, &started, &ended, &deadline,
		&crashes, &status, &mode, &s.news, &s.latest, &h.Paused, &h.Cancelled, &id, &runID, &name, &parent, &pause, &cancel,
		&tags, &blocked, &orphans, &previous, &next, &failure, &version, &info.Input, &info.Result, &info.Progress)
	if err != nil {
		return nil, err
	}
	var d decoder
	info.ID, info.RunID, info.Name = d.text("id", &id), d.text("run id", &runID), d.text("name", &name)
	h.ID, h.RunID, h.Name = info.ID, info.RunID, info.Name
	h.Status, h.Mode = lambdabiz.Status(d.byte("status", status)), lambdabiz.Mode(d.byte("mode", mode))
	h.Held, h.Worker, h.Crashes = owner != 0, max(owner, 0), int64(crashes)
	h.Due = d.time(due, time.Time{})
	h.Blocked = blocked != nil
	if h.Paused {
		h.PauseReason = d.text("reason", pause)
	}
	if h.Cancelled {
		h.CancelReason = d.text("reason", cancel)
	}
	d.json("parent", parent, &h.Parent)
	info.Parent = h.Parent
	info.ScheduledAt = d.time(&scheduled, time.Time{})
	base := info.ScheduledAt
	info.StartedAt, info.EndedAt, info.Deadline = d.time(started, base), d.time(ended, base), d.time(deadline, base)
	d.json("tags", tags, &info.Tags)
	d.json("blocked", blocked, &info.Blocked)
	d.json("orphans", orphans, &info.Orphans)
	info.Previous, info.ContinuedAs = d.text("previous", previous), d.text("next", next)
	d.json("error", failure, &info.Error)
	info.Version = d.text("version", version)
	s.reflect()
	s.broken = d.err
	return s, nil
}

// rest is what few operations have.
type rest struct {
	Target  string             `json:"target,omitempty"`
	Error   *lambdabiz.Failure `json:"error,omitempty"`
	Due     *int64             `json:"due,omitempty"`     // after the operation was scheduled
	Expires *int64             `json:"expires,omitempty"` // as well
	Details []byte             `json:"details,omitempty"`
	Stop    int64              `json:"stop,omitempty"` // what row.Stop says
}

// restOf is the column rest of an operation, NULL for most.
func restOf(o *lambdabiz.Operation) ([]byte, error) {
	r := rest{Target: o.Target, Error: o.Error, Details: o.Details, Stop: row.Stop(o)}
	if micros, ok := row.After(o.DueAt, o.ScheduledAt); ok {
		r.Due = &micros
	}
	if micros, ok := row.After(o.ExpiresAt, o.ScheduledAt); ok {
		r.Expires = &micros
	}
	if r.Target == "" && r.Error == nil && r.Due == nil && r.Expires == nil && len(r.Details) == 0 && r.Stop == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

// scanOperation reads a row of operationColumns.
func scanOperation(rows pgx.Rows) (no int64, o lambdabiz.Operation, err error) {
	var scheduled, started, ended *int64
	var attempts int32
	var kind, status int16
	var path string
	var name *string
	var more []byte
	if err := rows.Scan(&no, &o.Number, &scheduled, &started, &ended, &attempts, &kind, &status, &path, &name,
		&o.Input, &o.Result, &more); err != nil {
		return 0, o, err
	}
	var d decoder
	o.Kind, o.Status = lambdabiz.Kind(d.byte("kind", kind)), lambdabiz.Status(d.byte("status", status))
	o.ID, o.Name, o.Attempts = d.text("operation", &path), d.text("name", name), int(attempts)
	o.ScheduledAt = d.time(scheduled, time.Time{})
	o.StartedAt, o.EndedAt = d.time(started, o.ScheduledAt), d.time(ended, o.ScheduledAt)
	if more != nil {
		var r rest
		d.note("rest", json.Unmarshal(more, &r))
		o.Target, o.Error, o.Details = r.Target, r.Error, r.Details
		o.DueAt, o.ExpiresAt = d.time(r.Due, o.ScheduledAt), d.time(r.Expires, o.ScheduledAt)
		row.SetStop(&o, r.Stop)
	}
	return no, o, d.err
}

// scanMessage reads a row of messageColumns, behind other columns.
func scanMessage(rows pgx.Rows, before ...any) (lambdabiz.Message, error) {
	var m lambdabiz.Message
	var arrived *int64
	var kind, status int16
	var name, key, failure *string
	if err := rows.Scan(append(before, &m.Number, &arrived, &m.Operation, &kind, &status, &name, &key, &failure,
		&m.Payload)...); err != nil {
		return m, err
	}
	var d decoder
	m.ArrivedAt = d.time(arrived, time.Time{})
	m.Kind, m.Status = lambdabiz.MessageKind(d.byte("kind", kind)), lambdabiz.Status(d.byte("status", status))
	m.Name, m.Key = d.text("name", name), d.text("key", key)
	d.json("error", failure, &m.Error)
	return m, d.err
}
