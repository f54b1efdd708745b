package sqlite

import (
	"context"
	"strconv"
)

// LimitPages gives the disk an end for the connection that writes.
func (b *Backend) LimitPages(more int) error {
	w, err := b.lockWriter(context.Background())
	if err != nil {
		return err
	}
	defer func() { b.writing <- w }()
	pages, err := w.conn.pragma("PRAGMA page_count")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(pages)
	if err != nil {
		return err
	}
	_, err = w.conn.pragma("PRAGMA max_page_count=" + strconv.Itoa(n+more))
	return err
}

// Pragmas asks every connection that is open.
func (b *Backend) Pragmas(name string) ([]string, error) {
	w, v := <-b.writing, <-b.watches
	defer func() { b.writing <- w; b.watches <- v }()
	all := append([]*conn{w.conn, v.conn}, b.idle...)
	var answers []string
	for _, c := range all {
		answer, err := c.pragma("PRAGMA " + name)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// HoldReader keeps a snapshot open until release is closed.
func (b *Backend) HoldReader(ctx context.Context, held chan<- struct{}, release <-chan struct{}) error {
	return b.read(ctx, func(c *conn) error {
		_, err := c.prepare(qLastRun).one()
		held <- struct{}{}
		<-release
		return err
	})
}

// HoldWriter keeps the write lock of the file until release is closed.
func (b *Backend) HoldWriter(ctx context.Context, held chan<- struct{}, release <-chan struct{}) error {
	return b.write(ctx, "hold", func(*tx) error {
		held <- struct{}{}
		<-release
		return nil
	})
}

// Checkpoint copies the log back, as SQLite does by itself when it has become long; what fails in it fails
// in silence there, too.
func (b *Backend) Checkpoint(mode string) error {
	w := <-b.writing
	defer func() { b.writing <- w }()
	if w.conn == nil {
		return nil // the next one who writes opens a new one
	}
	_, err := w.conn.pragma("PRAGMA wal_checkpoint(" + mode + ")")
	return err
}
