package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pipe sends statements together and reads the answers in their order: in one transaction, if none is open.
type pipe struct {
	t     *tx
	items []item
}

type item struct {
	statement string
	args      []any
	affected  *int64
	read      func(pgx.Rows) error
}

func (t *tx) pipe() *pipe { return &pipe{t: t} }

// add adds a statement; read, if not nil, is called for each of its rows, and affected gets how many rows it has changed.
func (p *pipe) add(q query, affected *int64, read func(pgx.Rows) error, args ...any) {
	p.items = append(p.items, item{p.t.b.statements[q], args, affected, read})
}

// run sends what was added, if there is any.
func (p *pipe) run(ctx context.Context) error {
	items := p.items
	p.items = nil
	switch {
	case len(items) == 0:
		return nil
	case p.t.b.way.plain:
		return p.t.sendPlain(ctx, items)
	}
	var batch pgx.Batch
	for i := range items {
		one := &items[i]
		queued := batch.Queue(one.statement, one.args...)
		switch {
		case one.read != nil:
			queued.Query(func(rows pgx.Rows) error { return eachRow(rows, one.read) })
		case one.affected != nil:
			queued.Exec(func(tag pgconn.CommandTag) error { *one.affected = tag.RowsAffected(); return nil })
		}
	}
	return p.t.conn.SendBatch(ctx, &batch).Close()
}

func eachRow(rows pgx.Rows, read func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// binary is the format of all columns: the text of some depends on settings of the session.
const binary = pgx.BinaryFormatCode

// sendPlain is what the driver does in its mode exec, for a pool that is in another one.
func (t *tx) sendPlain(ctx context.Context, items []item) (fault error) {
	var together pgconn.Batch
	var built pgx.ExtendedQueryBuilder
	for i := range items {
		if err := built.Build(t.conn.TypeMap(), nil, items[i].args); err != nil {
			return err
		}
		together.ExecParams(items[i].statement, built.ParamValues, nil, built.ParamFormats, []int16{binary})
	}
	answers := t.conn.PgConn().ExecBatch(ctx, &together)
	defer func() {
		if err := answers.Close(); fault == nil {
			fault = err
		}
	}()
	for i := range items {
		if !answers.NextResult() {
			return nil // why is what Close says
		}
		one := &items[i]
		if one.read != nil {
			if err := eachRow(pgx.RowsFromResultReader(t.conn.TypeMap(), answers.ResultReader()), one.read); err != nil {
				return err
			}
			continue
		}
		tag, err := answers.ResultReader().Close()
		if err != nil {
			return err
		}
		if one.affected != nil {
			*one.affected = tag.RowsAffected()
		}
	}
	return nil
}

// query runs one statement and calls read for each of its rows.
func (t *tx) query(ctx context.Context, q query, read func(pgx.Rows) error, args ...any) error {
	if t.b.way.plain {
		return t.sendPlain(ctx, []item{{t.b.statements[q], args, nil, read}})
	}
	rows, err := t.conn.Query(ctx, t.b.statements[q], args...)
	if err != nil {
		return err
	}
	return eachRow(rows, read)
}

// exec runs one statement and returns how many rows it has changed.
func (t *tx) exec(ctx context.Context, q query, args ...any) (int64, error) {
	if t.b.way.plain {
		var affected int64
		err := t.sendPlain(ctx, []item{{t.b.statements[q], args, &affected, nil}})
		return affected, err
	}
	tag, err := t.conn.Exec(ctx, t.b.statements[q], args...)
	return tag.RowsAffected(), err
}
