package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/lambdabiz/lambdabiz/internal/row"
)

// conn is a connection with its prepared statements. One goroutine uses it at a time.
type conn struct {
	db     *sqlite3.Conn
	volume *volume
	file   *anchor
	files  *logFiles // nil before it has a log
	glance glance
	astray bool     // the files were not in place when that was looked at last
	mark   *os.File // the index of the log, locked for claimIndex
	stmts  [queryCount]*stmt
	large  bool // its memory has become large, and the driver gives none back before it is closed
}

// prepare returns a statement that is ready to be bound. A fault comes out of its exec or done.
func (c *conn) prepare(q query) *stmt {
	s := c.stmts[q]
	if s == nil {
		raw, _, err := c.db.PrepareFlags(queries[q], sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return &stmt{err: err}
		}
		s = &stmt{raw: raw, large: &c.large}
		c.stmts[q] = s
	}
	s.bound, s.bytes, s.column, s.err, s.rotten = 0, 0, 0, nil, nil
	return s
}

// exec runs a statement without parameters.
func (c *conn) exec(q query) error { return c.prepare(q).exec() }

// pragma returns the answer of a statement that is run once.
func (c *conn) pragma(text string) (string, error) {
	raw, _, err := c.db.Prepare(text)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	var answer string
	for raw.Step() {
		answer = raw.ColumnText(0)
	}
	return answer, raw.Err()
}

// rollback ends the transaction, if SQLite has not ended it itself, and reports whether the
// connection can be used on.
func (c *conn) rollback() bool {
	for _, s := range c.stmts {
		if s != nil {
			_ = s.raw.Reset() // repeats the error that led here
		}
	}
	if c.db.GetAutocommit() {
		return true
	}
	return c.exec(qRollback) == nil && c.db.GetAutocommit()
}

// close gives up the connection; an open transaction is rolled back. Whatever state SQLite is in, no lock stays.
func (c *conn) close() error {
	err := c.caught(func() error {
		if c.db == nil { // a panic came while it was opened
			return nil
		}
		if !c.volume.cut {
			c.spareOthers()
		}
		for _, s := range slices.Collect(c.db.Stmts()) {
			_ = s.Close() // repeats the last error of the statement
		}
		return c.db.Close()
	})
	return errors.Join(err, c.volume.release(), c.leaveLog())
}

// discard gives up a connection of which nobody knows what state it is in.
//
// After an error SQLite itself knows, and closing is part of it: the last connection of a file removes the log, so
// that a commit whose sync has failed does not come back to life. After a panic it does not: see recovered.
func (c *conn) discard() {
	_ = c.close() // it is given up because of an error that is reported
}

// recovered, deferred, puts a panic into err. Nothing that SQLite still believes of the connection reaches the disk
// any more.
func (c *conn) recovered(err *error) {
	if p := recover(); p != nil {
		c.volume.cut = true
		*err = newPanicError(p)
	}
}

// caught calls do, and returns its panic as an error.
func (c *conn) caught(do func() error) (err error) {
	defer c.recovered(&err)
	return do()
}

// isIdle reports whether no transaction is open on the connection.
func (c *conn) isIdle() bool {
	idle := false
	err := c.caught(func() error { idle = c.db.GetAutocommit(); return nil })
	return idle && err == nil
}

// under lets ctx interrupt what the connection does until the returned function is called.
func (c *conn) under(ctx context.Context) func() {
	old := c.db.SetInterrupt(ctx)
	return func() { c.db.SetInterrupt(old) }
}

// stmt is a prepared statement. Its parameters are bound, and its columns read, from left to right.
type stmt struct {
	raw    *sqlite3.Stmt
	bound  int
	bytes  int   // of what is bound
	large  *bool // set when a large value has gone through; nil if nobody asks
	column int
	err    error
	rotten *unreadableError // the first column that could not be read since the last look
}

// unreadableError is a value in the file that no version of this package has written, or a newer one has. It
// concerns its own run and nobody else's.
type unreadableError struct {
	column string
	err    error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("sqlite: column %s in the file cannot be read: %v", e.column, e.err)
}
func (e *unreadableError) Unwrap() error { return e.err }

func isUnreadable(err error) bool {
	_, is := errors.AsType[*unreadableError](err)
	return is
}

func (s *stmt) spoil(err error) {
	if s.rotten == nil {
		s.rotten = &unreadableError{s.raw.ColumnName(s.column - 1), err}
	}
}

func (s *stmt) note(err error) *stmt {
	if err != nil && s.err == nil {
		s.err = err
	}
	return s
}

func (s *stmt) int(v int64) *stmt {
	if s.err != nil {
		return s
	}
	s.bound++
	return s.note(s.raw.BindInt64(s.bound, v))
}

// optionalInt binds NULL for 0.
func (s *stmt) optionalInt(v int64) *stmt {
	if v == 0 {
		return s.null()
	}
	return s.int(v)
}

func (s *stmt) bool(v bool) *stmt {
	if v {
		return s.int(1)
	}
	return s.int(0)
}

func (s *stmt) null() *stmt {
	if s.err != nil {
		return s
	}
	s.bound++
	return s.note(s.raw.BindNull(s.bound))
}

func (s *stmt) text(v string) *stmt {
	if s.err != nil {
		return s
	}
	s.bound++
	s.bytes += len(v)
	return s.note(s.raw.BindText(s.bound, v))
}

// optionalText binds NULL for the empty string.
func (s *stmt) optionalText(v string) *stmt {
	if v == "" {
		return s.null()
	}
	return s.text(v)
}

// blob binds NULL for nil, and an empty value for an empty one.
func (s *stmt) blob(v []byte) *stmt {
	if s.err != nil {
		return s
	}
	s.bound++
	s.bytes += len(v)
	return s.note(s.raw.BindBlob(s.bound, v))
}

// micros binds a time, 0 for the zero time.
func (s *stmt) micros(t time.Time) *stmt { return s.int(row.Micros(t)) }

// time binds NULL for the zero time.
func (s *stmt) time(t time.Time) *stmt { return s.after(t, time.Time{}) }

// after binds the time from base to t, and NULL for the zero time.
func (s *stmt) after(t, base time.Time) *stmt {
	n, ok := row.After(t, base)
	if !ok {
		return s.null()
	}
	return s.int(n)
}

// json binds NULL if there is nothing.
func (s *stmt) json(v any, nothing bool) *stmt {
	if nothing {
		return s.null()
	}
	text, err := json.Marshal(v)
	if err != nil {
		return s.note(err)
	}
	return s.text(string(text))
}

// largeBytes is from where on a value lets a connection be closed after its use.
const largeBytes = 16 << 20

func (s *stmt) swell(bytes int) {
	if bytes >= largeBytes && s.large != nil {
		*s.large = true
	}
}

// exec runs the statement to its end.
func (s *stmt) exec() error {
	err := s.err
	if err == nil {
		err = s.raw.Exec()
	}
	if unloadErr := s.unload(); err == nil {
		err = unloadErr
	}
	return err
}

// keptBytes is how much a statement keeps of what was bound: as long as that is not bound anew, it stays in the
// memory of the driver, of which there is not much.
const keptBytes = 64 << 10

// unload gives back what is bound, if it is much.
func (s *stmt) unload() error {
	if s.bytes <= keptBytes {
		return nil
	}
	s.swell(s.bytes)
	s.bytes = 0
	return s.raw.ClearBindings()
}

// next steps to the next row.
func (s *stmt) next() bool {
	s.column = 0
	return s.err == nil && s.raw.Step()
}

// done ends the reading of rows and returns the first fault, or else what could not be read.
func (s *stmt) done() error {
	if s.raw == nil {
		return s.err
	}
	s.note(s.raw.Err())
	_ = s.raw.Reset() // repeats the same error
	if s.err == nil && s.rotten != nil {
		return s.rotten
	}
	return s.err
}

// takeRotten returns what could not be read in this row. It is not the statement's fault then.
func (s *stmt) takeRotten() *unreadableError {
	rotten := s.rotten
	s.rotten = nil
	return rotten
}

// found runs the statement and reports whether it has a row.
func (s *stmt) found() (bool, error) {
	found := s.next()
	return found, s.done()
}

func (s *stmt) getInt() int64 {
	s.column++
	return s.raw.ColumnInt64(s.column - 1)
}

// getByte reads a number of a status, a kind or a mode.
func (s *stmt) getByte() uint8 {
	n, err := row.Byte(s.getInt())
	if err != nil {
		s.spoil(err)
	}
	return n
}

func (s *stmt) getBool() bool { return s.getInt() != 0 }

func (s *stmt) getText() string {
	s.column++
	return s.raw.ColumnText(s.column - 1)
}

// getTextIf reads a text that means something only if a column before says so.
func (s *stmt) getTextIf(wanted bool) string {
	if wanted {
		return s.getText()
	}
	s.column++
	return ""
}

// getBlob returns nil for NULL only.
func (s *stmt) getBlob() []byte {
	s.column++
	if s.raw.ColumnType(s.column-1) == sqlite3.NULL {
		return nil
	}
	blob := s.raw.ColumnBlob(s.column-1, []byte{})
	s.swell(len(blob))
	return blob
}

func (s *stmt) getTime() time.Time { return s.getAfter(time.Time{}) }

func (s *stmt) getAfter(base time.Time) time.Time {
	s.column++
	if s.raw.ColumnType(s.column-1) == sqlite3.NULL {
		return time.Time{}
	}
	return row.Time(s.raw.ColumnInt64(s.column-1), base)
}

// getJSON fills v, if there is something.
func (s *stmt) getJSON(v any) {
	s.column++
	if s.err != nil || s.raw.ColumnType(s.column-1) == sqlite3.NULL {
		return
	}
	if err := json.Unmarshal(s.raw.ColumnRawText(s.column-1), v); err != nil {
		s.spoil(err)
	}
}

// isBusy reports whether another connection was in the way, and nothing was done.
func isBusy(err error) bool { return errors.Is(err, sqlite3.BUSY) }
