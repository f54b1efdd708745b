package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// writes is what a batch has to write beside its runs.
type writes struct {
	operations []written
	consumed   columns // run, message
	withdrawn  []int64 // the runs whose pauses are over
	moved      columns // former run, later run
	keys       columns // chain, digest
	dropped    []string
	expired    columns // id, the sender's time
	places     []int64 // to be removed
}

type written struct {
	no         int64
	operations []lambdabiz.Operation
}

// flush writes what has become of the runs, each table by one statement.
func (b *batch) flush(ctx context.Context) error {
	p := b.t.pipe()
	fresh, changed, created, updated, err := b.writeRuns(p)
	if err != nil {
		return err
	}
	if err := b.writeMessages(p); err != nil {
		return err
	}
	b.writeKept(p)
	if err := b.writeOperations(p); err != nil {
		return err
	}
	err = p.run(ctx)
	if *created >= 0 && *created != fresh {
		return errAgain // somebody else has taken an id, which may be why what follows has failed
	}
	if err == nil && *updated != changed {
		err = fmt.Errorf("%d of %d runs were there to be written", *updated, changed)
	}
	return numberTaken(err)
}

// numberTaken is an error of the server, or errAgain for a number that somebody else has made as well, or an id that somebody
// has taken.
func numberTaken(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23505" && (e.TableName == "runs" || e.TableName == "workers") {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return err
}

// writeRuns writes the runs that are others now. What is not the latest any more is written before what is. It returns how many
// are to be created and updated, and where it will be said how many were, -1 before.
func (b *batch) writeRuns(p *pipe) (fresh, changed int64, created, updated *int64, err error) {
	var updates, inserts, tags columns
	// Who inserts an id waits for whoever is inserting it. If all do so in one order, nobody waits in a circle.
	slices.SortStableFunc(b.touched, func(x, y *run) int { return cmp.Compare(x.head.ID, y.head.ID) })
	for _, r := range b.touched {
		state, err := r.state()
		if err != nil {
			return 0, 0, nil, nil, err
		}
		if !r.fresh {
			updates.add(state...)
			continue
		}
		begin, err := r.beginning()
		if err != nil {
			return 0, 0, nil, nil, err
		}
		inserts.add(append(state, begin...)...)
		for k, v := range r.record.Tags {
			tags.add(r.no, digest(k, v))
		}
	}
	created, updated = new(int64(-1)), new(int64)
	if updates.rows() > 0 {
		p.add(qUpdateRuns, updated, nil, updates.args()...)
	}
	if len(b.writes.places) > 0 {
		p.add(qDeletePlaces, nil, nil, b.writes.places)
	}
	if inserts.rows() > 0 {
		p.add(qInsertRuns, created, nil, inserts.args()...)
	}
	if tags.rows() > 0 {
		p.add(qInsertTags, nil, nil, tags.args()...)
	}
	return int64(inserts.rows()), int64(updates.rows()), created, updated, nil
}

// state is what of a run may change, as qUpdateRuns has it.
func (r *run) state() ([]any, error) {
	h, info := &r.head, &r.record.RunInfo
	blocked, err := asJSON(info.Blocked, info.Blocked == nil)
	if err != nil {
		return nil, err
	}
	var by any
	if info.Blocked != nil {
		by = text(info.Blocked.Version)
	}
	orphans, err := asJSON(info.Orphans, len(info.Orphans) == 0)
	if err != nil {
		return nil, err
	}
	failure, err := asJSON(info.Error, info.Error == nil)
	return []any{
		r.no, micros(h.Due), h.Fence, ownerOf(h), r.lastMessage, h.Mark,
		after(info.StartedAt, info.ScheduledAt), after(info.EndedAt, info.ScheduledAt), h.Crashes, int16(h.Status), r.news,
		r.latest, h.Paused, h.Cancelled, optional(h.PauseReason), optional(h.CancelReason), blocked, by,
		orphans, optional(info.ContinuedAs), failure, optional(info.Version), bytesOf(r.result), bytesOf(r.progress),
	}, err
}

// beginning is what of a run never changes, as qInsertRuns has it.
func (r *run) beginning() ([]any, error) {
	h, info := &r.head, &r.record.RunInfo
	parent, err := asJSON(h.Parent, h.Parent == nil)
	if err != nil {
		return nil, err
	}
	tags, err := asJSON(info.Tags, len(info.Tags) == 0)
	return []any{
		r.chain, row.Micros(info.ScheduledAt), after(info.Deadline, info.ScheduledAt), int16(h.Mode), text(h.ID), text(h.RunID),
		text(h.Name), parent, tags, optional(info.Previous), bytesOf(r.input),
	}, err
}

func bytesOf(p lambdabiz.Payload) any {
	if p == nil {
		return nil
	}
	return []byte(p)
}

// writeMessages removes messages, gives them to the runs that continue theirs, and adds others.
func (b *batch) writeMessages(p *pipe) error {
	var added columns
	for _, r := range b.touched {
		for i := range r.added {
			m := &r.added[i]
			failure, err := asJSON(m.Error, m.Error == nil)
			if err != nil {
				return err
			}
			added.add(r.no, m.Number, micros(m.ArrivedAt), m.Operation, int16(m.Kind), int16(m.Status), optional(m.Name),
				optional(m.Key), failure, bytesOf(m.Payload))
		}
	}
	w := &b.writes
	if w.consumed.rows() > 0 {
		p.add(qConsume, nil, nil, append(w.consumed.args(), kindsThat(rules.Stays))...)
	}
	if len(w.withdrawn) > 0 {
		p.add(qWithdraw, nil, nil, w.withdrawn, int16(lambdabiz.MessagePause))
	}
	if w.moved.rows() > 0 {
		p.add(qMove, nil, nil, append(w.moved.args(), kindsThat(rules.Moves))...)
	}
	if added.rows() > 0 {
		p.add(qInsertMessages, nil, nil, added.args()...)
	}
	if w.keys.rows() > 0 {
		p.add(qInsertKeys, nil, nil, w.keys.args()...)
	}
	return nil
}

// kindsThat are the kinds of messages of which a rule is true.
func kindsThat(is func(lambdabiz.MessageKind) bool) []int16 {
	kinds := []int16{}
	for k := lambdabiz.MessageEvent; k <= lambdabiz.MessageDrop; k++ {
		if is(k) {
			kinds = append(kinds, int16(k))
		}
	}
	return kinds
}

// writeKept writes what is kept for starts.
func (b *batch) writeKept(p *pipe) {
	w := &b.writes
	var added columns
	for id, s := range b.kept {
		for i := range s.list {
			if k := &s.list[i]; k.fresh {
				m := &k.message
				added.add(text(id), m.Number, k.until.UnixMicro(), micros(m.ArrivedAt), optional(m.Name), optional(m.Key),
					bytesOf(m.Payload))
			}
		}
	}
	if len(w.dropped) > 0 {
		ids := make([]string, len(w.dropped))
		for i, id := range w.dropped {
			ids[i] = text(id)
		}
		p.add(qDropKept, nil, nil, ids)
	}
	if w.expired.rows() > 0 {
		p.add(qExpireKept, nil, nil, w.expired.args()...)
	}
	if added.rows() > 0 {
		p.add(qInsertKept, nil, nil, added.args()...)
	}
}

// writeOperations writes the operations of all commits. Of two with one number the last one counts.
func (b *batch) writeOperations(p *pipe) error {
	type place struct{ no, number int64 }
	last := map[place]*lambdabiz.Operation{}
	var order []place
	for _, w := range b.writes.operations {
		for i := range w.operations {
			at := place{w.no, w.operations[i].Number}
			if last[at] == nil {
				order = append(order, at)
			}
			last[at] = &w.operations[i]
		}
	}
	var all columns
	for _, at := range order {
		columns, err := operationRow(at.no, last[at])
		if err != nil {
			return err
		}
		all.add(columns...)
	}
	if all.rows() > 0 {
		p.add(qWriteOperations, nil, nil, all.args()...)
	}
	return nil
}

// operationColumnCount is how many columns operationRow has.
const operationColumnCount = 13

// operationRow is an operation as it stands in its table. There is room for one column more.
func operationRow(no int64, o *lambdabiz.Operation) ([]any, error) {
	more, err := restOf(o)
	return append(make([]any, 0, operationColumnCount+1), no, o.Number, micros(o.ScheduledAt), after(o.StartedAt, o.ScheduledAt),
		after(o.EndedAt, o.ScheduledAt), o.Attempts, int16(o.Kind), int16(o.Status), text(o.ID), optional(o.Name), bytesOf(o.Input),
		bytesOf(o.Result), bytesOf(more)), err
}

// setClaimed writes runs that were claimed. Their holder has all their messages.
func (t *tx) setClaimed(ctx context.Context, claimed []*stored) error {
	b := newBatch(t, nil)
	for _, s := range claimed {
		r := &run{stored: *s}
		r.news = false
		b.touch(r)
	}
	return b.flush(ctx)
}
