package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// Load returns a run with its operations and messages, as one snapshot. It waits for nobody.
func (b *Backend) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.limit(ctx)
	defer cancel()
	var run *stored
	err := b.snapshot(ctx, func(t *tx) (err error) {
		if run, err = t.find(ctx, id, runID); err != nil {
			return err
		}
		if run.broken == nil {
			err = t.fill(ctx, map[int64]*stored{run.no: run}, []int64{run.no})
		}
		return err
	})
	if err == nil {
		err = run.broken
	}
	if err != nil {
		return nil, faultOf(ctx, "load "+id, err)
	}
	return &run.record, nil
}

// Info returns a run without its operations and messages, in one look at one row.
func (b *Backend) Info(ctx context.Context, id, runID string) (*lambdabiz.RunInfo, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.limit(ctx)
	defer cancel()
	var run *stored
	err := b.read(ctx, func(t *tx) (err error) {
		run, err = t.find(ctx, id, runID)
		return err
	})
	if err == nil {
		err = run.broken
	}
	if err != nil {
		return nil, faultOf(ctx, "load "+id, err)
	}
	return &run.record.RunInfo, nil
}

// Ended says of each run whether it is open no more, by one statement.
func (b *Backend) Ended(ctx context.Context, runs []lambdabiz.RunRef) ([]bool, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	ids, runIDs := make([]string, len(runs)), make([]string, len(runs))
	for i, ref := range runs {
		ids[i], runIDs[i] = text(ref.ID), text(ref.RunID)
	}
	var ended []bool
	err := b.read(ctx, func(t *tx) error {
		ended = make([]bool, len(runs))
		return t.query(ctx, qEnded, func(rows pgx.Rows) error {
			var at int
			err := rows.Scan(&at)
			if err == nil {
				ended[at-1] = true
			}
			return err
		}, ids, runIDs)
	})
	if err != nil {
		return nil, faultOf(ctx, "look for ends", err)
	}
	return ended, nil
}

// find reads a run, the latest of the id when no run id is given.
func (t *tx) find(ctx context.Context, id, runID string) (*stored, error) {
	q, args := qLoadLatest, []any{text(id)}
	if runID != "" {
		q, args = qLoadRun, append(args, text(runID))
	}
	var run *stored
	err := t.query(ctx, q, func(rows pgx.Rows) (err error) {
		run, err = scanRun(rows)
		return err
	}, args...)
	if err == nil && run == nil {
		err = lambdabiz.ErrNotFound
	}
	return run, err
}

// records reads runs with all that belongs to them, in the order of their numbers.
func (t *tx) records(ctx context.Context, numbers []int64) ([]*stored, error) {
	var all []*stored
	byNumber := map[int64]*stored{}
	err := t.query(ctx, qRuns, func(rows pgx.Rows) error {
		run, err := scanRun(rows)
		if err == nil {
			all = append(all, run)
			byNumber[run.no] = run
		}
		return err
	}, numbers)
	if err == nil {
		err = t.fill(ctx, byNumber, numbers)
	}
	return all, err
}

// fill adds the operations and messages of runs. What cannot be read is said of the run.
func (t *tx) fill(ctx context.Context, runs map[int64]*stored, numbers []int64) error {
	p := t.pipe()
	p.add(qOperations, nil, func(rows pgx.Rows) error {
		no, o, err := scanOperation(rows)
		if err == nil {
			runs[no].record.Operations = append(runs[no].record.Operations, o)
		}
		return runs[no].unreadable(err)
	}, numbers)
	p.add(qMessages, nil, func(rows pgx.Rows) error {
		var no int64
		m, err := scanMessage(rows, &no)
		if err == nil {
			runs[no].record.Messages = append(runs[no].record.Messages, m)
		}
		return runs[no].unreadable(err)
	}, numbers)
	return p.run(ctx)
}

// unreadable keeps an error that is the run's own, and returns any other.
func (s *stored) unreadable(err error) error {
	if s == nil || !isUnreadable(err) {
		return err
	}
	if s.broken == nil {
		s.broken = err
	}
	return nil
}
