package sqlite

import (
	"context"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// Load returns a run with its operations and messages, as one snapshot. It waits for no writer.
func (b *Backend) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	return b.load(ctx, id, runID, (*conn).fill)
}

// Info returns a run without its operations and messages, in one look at one row.
func (b *Backend) Info(ctx context.Context, id, runID string) (*lambdabiz.RunInfo, error) {
	rec, err := b.load(ctx, id, runID, func(*conn, *stored) error { return nil })
	if err != nil {
		return nil, err
	}
	return &rec.RunInfo, nil
}

// Ended says of each run whether it is open no more, by one read of the file.
func (b *Backend) Ended(ctx context.Context, runs []lambdabiz.RunRef) ([]bool, error) {
	var ended []bool
	err := b.read(ctx, func(c *conn) error {
		ended = make([]bool, len(runs))
		for i, ref := range runs {
			s := c.prepare(qIsOpen).text(ref.ID).text(ref.RunID)
			ended[i] = !s.next()
			if err := s.done(); err != nil {
				return err
			}
		}
		return nil
	})
	return ended, err
}

func (b *Backend) load(
	ctx context.Context, id, runID string, fill func(c *conn, run *stored) error,
) (*lambdabiz.Record, error) {
	var run *stored
	err := b.read(ctx, func(c *conn) error {
		s := c.prepare(qLatest).text(id)
		if runID != "" {
			s = c.prepare(qByRunID).text(id).text(runID)
		}
		var err error
		if run, err = s.stored(); err != nil {
			return err
		}
		if run == nil {
			return lambdabiz.ErrNotFound
		}
		return fill(c, run)
	})
	if err != nil {
		return nil, err
	}
	return &run.record, nil
}
