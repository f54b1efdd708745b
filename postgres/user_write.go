package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Queries is what [StartTx] and [RaiseTx] need of a transaction of the application's. A pgx.Tx has it, that of [Tx] too; [SQL]
// makes it of a *sql.Tx.
type Queries interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// SQL lets [StartTx] and [RaiseTx] write in a transaction of database/sql, whatever its driver for PostgreSQL is.
func SQL(tx *sql.Tx) Queries { return sqlTx{tx} }

type sqlTx struct{ tx *sql.Tx }

func (t sqlTx) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// StartTx starts an orchestration in a transaction of the application's own: it is there if, and only if, that is committed,
// and workers hear of it by the COMMIT. The engine must be one on this database, and need not be a worker. All else is as with
// [lambdabiz.Start].
//
// What the start policy says counts as the transaction sees the id. Of two transactions that start one id at a time the second
// waits until the first has ended. Other starts of the id, and events that are kept for it, do not wait for so long: they are
// told that the row is taken, or tried again later. Under REPEATABLE READ and SERIALIZABLE such a meeting is a
// serialization failure (40001): begin the transaction anew.
//
// Within [Tx], the step's result, what it wrote and the orchestration that it has started are one.
func StartTx[In, Out any](
	ctx context.Context, tx Queries, e *lambdabiz.Engine, d *lambdabiz.Definition[In, Out], id string, in In,
	opts ...lambdabiz.StartOption,
) (*lambdabiz.Run[Out], error) {
	return lambdabiz.StartWithin(ctx, e, lambdabiz.Within{Home: home, How: tx}, d, id, in, opts...)
}

// RaiseTx raises an event in a transaction of the application's own: it is raised if, and only if, that is committed. The
// transaction does not hold the orchestration up, however long it takes: the event lies in a table of its own, and whichever
// worker looks next delivers it, once. It lies there also while no worker lives. Events that a process has raised one
// after the other, in transactions that were committed one after the other, are delivered in that order.
//
// It returns ErrNotFound and ErrClosed as [lambdabiz.Engine.RaiseEvent] does, as the transaction sees the orchestration: one
// that it has started by [StartTx] is there. An event whose orchestration ends before it is delivered is dropped, as one that
// nobody has waited for, and a later start of the id does not get it, unless [lambdabiz.BeforeRestart] keeps it for that.
// [lambdabiz.Key] makes it safe to repeat a transaction whose outcome is unknown. [lambdabiz.WithReceipt] is told ReceiptUnknown.
func RaiseTx(
	ctx context.Context, tx Queries, e *lambdabiz.Engine, id, event string, payload any, opts ...lambdabiz.RaiseOption,
) error {
	return lambdabiz.RaiseWithin(ctx, e, lambdabiz.Within{Home: home, How: tx}, id, event, payload, opts...)
}

// Write starts and raises in a transaction of the application's; see [lambdabiz.Transactor].
func (b *Backend) Write(ctx context.Context, within any, c *lambdabiz.Commit) (v lambdabiz.Verdict, err error) {
	q, ok := within.(Queries)
	if !ok {
		return v, fmt.Errorf("postgres: a %T is no transaction", within)
	}
	if err := b.prepare(ctx); err != nil {
		return v, err
	}
	u := &usersWrite{b: b, q: q, at: stamp(c.At)}
	for i := range c.Starts {
		started, err := u.start(ctx, &c.Starts[i])
		if err != nil {
			return v, faultOf(ctx, "start in a transaction", err)
		}
		v.Starts = append(v.Starts, started)
	}
	for i := range c.Raises {
		raised, err := u.raise(ctx, &c.Raises[i])
		if err != nil {
			return v, faultOf(ctx, "raise in a transaction", err)
		}
		v.Raises = append(v.Raises, raised)
	}
	if u.wrote && b.way.notifies() {
		var nothing *string
		if _, err := u.row(ctx, qNotifyAll, []any{b.bell.channel()}, &nothing); err != nil {
			return v, faultOf(ctx, "write in a transaction", err)
		}
	}
	return v, nil
}

// usersWrite is a write in a transaction of the application's.
type usersWrite struct {
	b     *Backend
	q     Queries
	at    time.Time
	wrote bool
}

// row runs a statement that gives one row at most, and reports whether it has.
func (u *usersWrite) row(ctx context.Context, q query, args []any, into ...any) (bool, error) {
	err := u.q.QueryRow(ctx, u.b.statements[q], args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// latest is the current run of an id, or the place that is kept for one; nil for none.
type latest struct {
	no, chain int64
	head      rules.Head
}

func (u *usersWrite) find(ctx context.Context, id string) (*latest, error) {
	l := &latest{}
	var status, mode int16
	var runID, name string
	found, err := u.row(ctx, qFindLatest, []any{text(id)}, &l.no, &l.chain, &status, &mode, &runID, &name)
	if err != nil || !found {
		return nil, err
	}
	var d decoder
	h := &l.head
	h.ID, h.RunID, h.Name = id, d.text("run id", &runID), d.text("name", &name)
	h.Status, h.Mode = lambdabiz.Status(d.byte("status", status)), lambdabiz.Mode(d.byte("mode", mode))
	return l, d.err
}

// start creates a run, unless its id is used and the policy says otherwise. Somebody else may take the id meanwhile: then it
// looks again.
func (u *usersWrite) start(ctx context.Context, s *lambdabiz.RunStart) (lambdabiz.StartVerdict, error) {
	for range attempts {
		found, err := u.find(ctx, s.ID)
		if err != nil {
			return lambdabiz.StartVerdict{}, err
		}
		if found != nil && found.head.Status != 0 {
			if create, err := rules.Start(&found.head, s); !create {
				h := &found.head
				v := lambdabiz.StartVerdict{Err: err, Run: lambdabiz.RunRef{ID: h.ID, RunID: h.RunID}}
				v.Info = lambdabiz.RunInfo{ID: h.ID, RunID: h.RunID, Name: h.Name, Mode: h.Mode, Status: h.Status}
				return v, nil
			}
		}
		created, err := u.create(ctx, s, found)
		if err != nil || created {
			return lambdabiz.StartVerdict{Created: created, Run: lambdabiz.RunRef{ID: s.ID, RunID: s.RunID}}, err
		}
	}
	return lambdabiz.StartVerdict{}, fmt.Errorf("others start and end %q again and again: %w", s.ID, errAgain)
}

// create makes a new run, with the events that were kept for it. It reports false if the id is another's by now.
func (u *usersWrite) create(ctx context.Context, s *lambdabiz.RunStart, former *latest) (bool, error) {
	if former != nil {
		take := qTakeLatest
		if former.head.Status == 0 {
			take = qTakePlace
		}
		var no int64
		if taken, err := u.row(ctx, take, []any{former.no}, &no); err != nil || !taken {
			return false, err
		}
	}
	b := newBatch(&tx{b: u.b}, nil) // it makes rows, and reads nothing
	r := b.create(s, rules.New(s, 0), u.at)
	if former != nil {
		if err := u.takeKept(ctx, b, r); err != nil {
			return false, err
		}
	}
	state, err := r.state()
	if err != nil {
		return false, err
	}
	begin, err := r.beginning()
	if err != nil {
		return false, err
	}
	var no int64
	created, err := u.row(ctx, qStartRun, append(state, begin...), &no)
	switch {
	case err == nil && !created && former != nil:
		// It is not the id's that was found any more, which this transaction has changed.
		return false, fmt.Errorf("somebody else has started %q: %w", s.ID, errAgain)
	case err != nil || !created:
		return false, err
	}
	u.wrote = true
	for k, v := range s.Tags {
		if _, err := u.row(ctx, qStartTag, []any{r.no, digest(k, v)}, &no); err != nil {
			return false, err
		}
	}
	return true, u.deliver(ctx, b, r)
}

// takeKept takes the events that were kept for a start. Whoever keeps more of them waits for the row that was taken.
func (u *usersWrite) takeKept(ctx context.Context, b *batch, r *run) error {
	for {
		var until, arrived int64
		var name, key *string
		var payload []byte
		found, err := u.row(ctx, qTakeKept, []any{text(r.head.ID)}, &until, &arrived, &name, &key, &payload)
		if err != nil || !found {
			return err
		}
		var d decoder
		m := lambdabiz.Message{
			Kind: lambdabiz.MessageEvent, Name: d.text("name", name), Key: d.text("key", key), Payload: payload,
			ArrivedAt: time.UnixMicro(arrived).UTC(),
		}
		if rules.Lasts(time.UnixMicro(until), u.at) && d.err == nil {
			b.deliverEvent(r, m)
		}
	}
}

// deliver writes the messages of a new run.
func (u *usersWrite) deliver(ctx context.Context, b *batch, r *run) error {
	for i := range r.added {
		m := &r.added[i]
		var number int64
		args := []any{r.no, m.Number, micros(m.ArrivedAt), int16(m.Kind), optional(m.Name), optional(m.Key), bytesOf(m.Payload)}
		if _, err := u.row(ctx, qStartMessage, args, &number); err != nil {
			return err
		}
	}
	for k := range b.keys {
		var chain int64
		if _, err := u.row(ctx, qStartKey, []any{k.chain, []byte(k.digest)}, &chain); err != nil {
			return err
		}
	}
	return nil
}

// raise puts an event into the mail, if it may be for somebody.
func (u *usersWrite) raise(ctx context.Context, r *lambdabiz.Raise) (lambdabiz.RaiseVerdict, error) {
	found, err := u.find(ctx, r.ID)
	if err != nil {
		return lambdabiz.RaiseVerdict{}, err
	}
	var h *rules.Head
	known := false
	if found != nil && found.head.Status != 0 {
		h = &found.head
		if r.Key != "" {
			var one int
			if known, err = u.row(ctx, qKnowsKey, []any{found.chain, digest(r.Key)}, &one); err != nil {
				return lambdabiz.RaiseVerdict{}, err
			}
		}
	}
	route, v := rules.Raise(h, known, r, u.at)
	v.Receipt = lambdabiz.ReceiptUnknown
	if route == rules.Nowhere {
		return v, nil
	}
	until := r.Until
	var chain any
	if route == rules.ToInbox {
		chain = found.chain
		if !r.AfterEnd {
			until = time.Time{} // it is for what is there, and for no start to come
		}
	}
	var no int64
	_, err = u.row(ctx, qSendMail, []any{
		u.b.numbers.next(), u.at.UnixMicro(), micros(until), r.AfterEnd, text(r.ID), optional(r.Name), optional(r.Key),
		bytesOf(r.Payload), chain,
	}, &no)
	u.wrote = true
	return v, err
}
