package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// StartTx starts an orchestration in a transaction of the application's own on the same file, by database/sql and whatever
// driver: it is there if, and only if, that is committed. Workers find it when they look next, within Config.PollInterval. The
// engine must be one on this file, and need not be a worker. All else is as with [lambdabiz.Start], and the start policy holds:
// nobody else writes meanwhile. Begin the transaction as one that writes (BEGIN IMMEDIATE), or its first write may find that
// another one was quicker.
//
// Within [Tx], the step's result, what it wrote and the orchestration that it has started are one.
func StartTx[In, Out any](
	ctx context.Context, tx Queries, e *lambdabiz.Engine, d *lambdabiz.Definition[In, Out], id string, in In,
	opts ...lambdabiz.StartOption,
) (*lambdabiz.Run[Out], error) {
	return lambdabiz.StartWithin(ctx, e, lambdabiz.Within{Home: home, How: tx}, d, id, in, opts...)
}

// RaiseTx raises an event in a transaction of the application's own on the same file: it is raised if, and only if, that is
// committed. All else is as with [lambdabiz.Engine.RaiseEvent], and as [StartTx] says; [lambdabiz.WithReceipt] is told
// ReceiptUnknown.
func RaiseTx(
	ctx context.Context, tx Queries, e *lambdabiz.Engine, id, event string, payload any, opts ...lambdabiz.RaiseOption,
) error {
	return lambdabiz.RaiseWithin(ctx, e, lambdabiz.Within{Home: home, How: tx}, id, event, payload, opts...)
}

// Write starts and raises in a transaction of the application's; see [lambdabiz.Transactor].
func (b *Backend) Write(ctx context.Context, within any, c *lambdabiz.Commit) (v lambdabiz.Verdict, err error) {
	q, ok := within.(Queries)
	if !ok {
		return v, fmt.Errorf("sqlite: a %T is no transaction", within)
	}
	u := usersWrite{q, c.At}
	for i := range c.Starts {
		started, err := u.start(ctx, &c.Starts[i])
		if err != nil {
			return v, fmt.Errorf("sqlite: start in a transaction: %w", err)
		}
		v.Starts = append(v.Starts, started)
	}
	for i := range c.Raises {
		raised, err := u.raise(ctx, &c.Raises[i])
		if err != nil {
			return v, fmt.Errorf("sqlite: raise in a transaction: %w", err)
		}
		v.Raises = append(v.Raises, raised)
	}
	return v, nil
}

// usersWrite is a write in a transaction of the application's.
type usersWrite struct {
	q  Queries
	at time.Time
}

func (u *usersWrite) exec(ctx context.Context, q query, args ...any) error {
	_, err := u.q.ExecContext(ctx, queries[q], args...)
	return err
}

// has reports whether a query has a row.
func (u *usersWrite) has(ctx context.Context, q query, args ...any) (bool, error) {
	var one int64
	err := u.q.QueryRowContext(ctx, queries[q], args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// find returns the latest run of an id; nil if there is none.
func (u *usersWrite) find(ctx context.Context, id string) (*head, error) {
	h := &head{}
	var status, mode, owner int64
	err := u.q.QueryRowContext(ctx, queries[qUsersHead], id).Scan(
		&h.no, &h.chain, &status, &mode, &owner, &h.Paused, &h.Blocked, &h.RunID, &h.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	var errs [2]error
	var n uint8
	n, errs[0] = row.Byte(status)
	h.Status = lambdabiz.Status(n)
	n, errs[1] = row.Byte(mode)
	h.Mode = lambdabiz.Mode(n)
	h.ID, h.Held, h.Worker = id, owner != 0, max(owner, 0)
	return h, errors.Join(errs[:]...)
}

// start creates a run, unless its id is used and the policy says otherwise.
func (u *usersWrite) start(ctx context.Context, s *lambdabiz.RunStart) (v lambdabiz.StartVerdict, err error) {
	existing, err := u.find(ctx, s.ID)
	if err != nil {
		return v, err
	}
	if existing != nil {
		if create, refusal := rules.Start(&existing.Head, s); !create {
			v.Err, v.Run = refusal, lambdabiz.RunRef{ID: s.ID, RunID: existing.RunID}
			v.Info = lambdabiz.RunInfo{
				ID: s.ID, RunID: existing.RunID, Name: existing.Name, Mode: existing.Mode, Status: existing.Status,
			}
			return v, nil
		}
	}
	h := &head{Head: rules.New(s, 0)}
	var tags any
	if len(s.Tags) > 0 {
		text, err := json.Marshal(s.Tags)
		if err != nil {
			return v, err
		}
		tags = string(text)
	}
	made, err := u.q.ExecContext(ctx, queries[qInsertRun],
		int64(h.Status), int64(h.Mode), h.Fence, ownerOf(&h.Head), u.after(h.Due, time.Time{}),
		row.Micros(u.at), nil, u.after(s.Deadline, u.at), nil, h.ID, h.RunID, h.Name, tags, nil, nil, bytesOf(s.Input))
	if err != nil {
		return v, err
	}
	if h.no, err = made.LastInsertId(); err != nil {
		return v, err
	}
	h.chain = h.no
	v.Created, v.Run = true, lambdabiz.RunRef{ID: s.ID, RunID: s.RunID}
	return v, u.deliverKept(ctx, h)
}

func (u *usersWrite) after(t, base time.Time) any {
	if micros, ok := row.After(t, base); ok {
		return micros
	}
	return nil
}

func bytesOf(p lambdabiz.Payload) any {
	if p == nil {
		return nil
	}
	return []byte(p)
}

func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// deliverKept moves the events that were kept for a start into the inbox of the new run.
func (u *usersWrite) deliverKept(ctx context.Context, h *head) error {
	kept, err := u.kept(ctx, h.ID)
	if err != nil {
		return err
	}
	for i := range kept {
		if err := u.insert(ctx, h, &kept[i]); err != nil {
			return err
		}
	}
	return u.exec(ctx, qDropKept, h.ID)
}

func (u *usersWrite) kept(ctx context.Context, id string) (kept []lambdabiz.Message, err error) {
	rows, err := u.q.QueryContext(ctx, queries[qFindKept], id, row.Micros(u.at))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		m := lambdabiz.Message{Kind: lambdabiz.MessageEvent}
		var name, key sql.NullString
		var arrived sql.NullInt64
		var payload []byte
		if err := rows.Scan(&name, &key, &payload, &arrived); err != nil {
			return nil, err
		}
		m.Name, m.Key, m.Payload = name.String, key.String, payload
		if arrived.Valid {
			m.ArrivedAt = row.Time(arrived.Int64, time.Time{})
		}
		kept = append(kept, m)
	}
	return kept, rows.Err()
}

// insert puts an event into the inbox of a run, with its key.
func (u *usersWrite) insert(ctx context.Context, h *head, m *lambdabiz.Message) error {
	if m.Key != "" {
		if err := u.exec(ctx, qInsertKey, h.chain, m.Key); err != nil {
			return err
		}
	}
	return u.exec(ctx, qInsertMessage, h.no, int64(m.Kind), u.after(m.ArrivedAt, time.Time{}), optional(m.Name), optional(m.Key),
		m.Operation, int64(m.Status),
		nil, bytesOf(m.Payload))
}

// raise puts an event into the inbox of a run, or keeps it for a start to come.
func (u *usersWrite) raise(ctx context.Context, r *lambdabiz.Raise) (v lambdabiz.RaiseVerdict, err error) {
	h, err := u.find(ctx, r.ID)
	if err != nil {
		return v, err
	}
	known := false
	if h != nil && r.Key != "" {
		if known, err = u.has(ctx, qFindKey, h.chain, r.Key); err != nil {
			return v, err
		}
	}
	route, v := rules.Raise(ruled(h), known, r, u.at)
	v.Receipt = lambdabiz.ReceiptUnknown
	switch route {
	case rules.ToInbox:
		m := rules.Event(r, u.at)
		if err = u.insert(ctx, h, &m); err == nil {
			if now := rules.Deliver(h.Head); now != h.Head {
				err = u.exec(ctx, qSetDue, h.no, u.after(now.Due, time.Time{}))
			}
		}
	case rules.ToKept:
		err = u.keep(ctx, r)
	case rules.Nowhere:
	}
	return v, err
}

// keep stores an event for a start to come, once by key.
func (u *usersWrite) keep(ctx context.Context, r *lambdabiz.Raise) error {
	if r.Key != "" {
		if seen, err := u.has(ctx, qFindKeptKey, r.ID, r.Key, row.Micros(u.at)); err != nil || seen {
			return err
		}
	}
	if err := u.exec(ctx, qExpireOwn, r.ID, row.Micros(u.at)); err != nil {
		return err
	}
	return u.exec(ctx, qInsertKept, r.ID, row.Micros(r.Until), u.after(u.at, time.Time{}), optional(r.Name), optional(r.Key),
		bytesOf(r.Payload))
}
