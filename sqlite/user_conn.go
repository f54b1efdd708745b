package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// usersConn is a connection of this package as database/sql knows it. The driver's own package would register itself under a
// name that others have, too. Whoever made it closes the connection.
type usersConn struct {
	c *conn

	// over: the body has returned. What it has left open, rows say, is refused from then on, and touches c no more.
	// database/sql has a lock on the connection whenever it calls, which guards this.
	over bool
}

// end resets what the body has left open. It is called by sql.Conn.Raw.
func (u *usersConn) end() error {
	if u.over {
		return nil
	}
	u.over = true
	for s := range u.c.db.Stmts() {
		_ = s.Reset() // repeats the last error of the statement
	}
	return nil
}

// Connect gives the one connection that there is.
func (u *usersConn) Connect(context.Context) (driver.Conn, error) { return u, nil }

// Driver is nothing that anybody asks for.
func (u *usersConn) Driver() driver.Driver { return nil }

// Close leaves the connection to its owner.
func (u *usersConn) Close() error { return nil }

// Begin is refused: the transaction is there.
func (u *usersConn) Begin() (driver.Tx, error) { return nil, errEndsItself }

// Prepare makes a statement.
func (u *usersConn) Prepare(query string) (driver.Stmt, error) {
	if u.over {
		return nil, sql.ErrTxDone
	}
	raw, tail, err := u.c.db.Prepare(query)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, errors.New("sqlite: there is no statement in the text")
	}
	if strings.TrimSpace(strings.TrimLeft(tail, "; \t\r\n")) != "" {
		_ = raw.Close() // nothing was done with it
		return nil, errors.New("sqlite: give one statement at a time if there are parameters or rows")
	}
	return &usersStmt{u, raw}, nil
}

// ExecContext runs any number of statements, if they have no parameters.
func (u *usersConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) > 0 {
		return nil, driver.ErrSkip
	}
	if u.over {
		return nil, sql.ErrTxDone
	}
	defer u.c.under(ctx)()
	if err := u.c.db.Exec(query); err != nil {
		return nil, err
	}
	return resultOf(u.c), nil
}

// usersStmt is a statement.
type usersStmt struct {
	u   *usersConn
	raw *sqlite3.Stmt
}

// Close closes it.
func (s *usersStmt) Close() error {
	if s.u.over {
		return nil // it goes with the connection
	}
	return s.raw.Close()
}

// NumInput is how many parameters it has; negative if that is not known.
func (s *usersStmt) NumInput() int {
	if s.u.over {
		return -1
	}
	return s.raw.BindCount()
}

// Exec runs it without a context; nobody calls it.
func (s *usersStmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }

// Query is the same.
func (s *usersStmt) Query([]driver.Value) (driver.Rows, error) { return nil, driver.ErrSkip }

// ExecContext runs it.
func (s *usersStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.bind(args); err != nil {
		return nil, err
	}
	defer s.u.c.under(ctx)()
	if err := s.raw.Exec(); err != nil {
		return nil, err
	}
	return resultOf(s.u.c), nil
}

// QueryContext runs it for its rows.
func (s *usersStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.bind(args); err != nil {
		return nil, err
	}
	names := make([]string, s.raw.ColumnCount())
	for i := range names {
		names[i] = s.raw.ColumnName(i)
	}
	return &usersRows{s, ctx, names}, nil
}

func (s *usersStmt) bind(args []driver.NamedValue) error {
	if s.u.over {
		return sql.ErrTxDone
	}
	if err := errors.Join(s.raw.Reset(), s.raw.ClearBindings()); err != nil {
		return err
	}
	for _, arg := range args {
		at := arg.Ordinal
		if arg.Name != "" {
			at = 0
			for _, prefix := range []string{":", "@", "$"} {
				if i := s.raw.BindIndex(prefix + arg.Name); i != 0 {
					at = i
				}
			}
			if at == 0 {
				return fmt.Errorf("sqlite: the statement has no parameter with the name %q", arg.Name)
			}
		}
		if err := s.bindOne(at, arg.Value); err != nil {
			return fmt.Errorf("bind parameter %d: %w", at, err)
		}
	}
	return nil
}

func (s *usersStmt) bindOne(at int, value driver.Value) error {
	switch v := value.(type) {
	case nil:
		return s.raw.BindNull(at)
	case bool:
		return s.raw.BindBool(at, v)
	case int64:
		return s.raw.BindInt64(at, v)
	case float64:
		return s.raw.BindFloat(at, v)
	case string:
		return s.raw.BindText(at, v)
	case []byte:
		return s.raw.BindBlob(at, v)
	case time.Time:
		return s.raw.BindText(at, v.Format(time.RFC3339Nano))
	default:
		return fmt.Errorf("a %T is no value of database/sql", value)
	}
}

type usersResult struct{ id, rows int64 }

func resultOf(c *conn) driver.Result { return usersResult{c.db.LastInsertRowID(), c.db.Changes()} }

// LastInsertId is the number of the last row that was inserted.
func (r usersResult) LastInsertId() (int64, error) { return r.id, nil }

// RowsAffected is how many rows the statement has changed.
func (r usersResult) RowsAffected() (int64, error) { return r.rows, nil }

// usersRows are the rows of a statement.
type usersRows struct {
	s     *usersStmt
	ctx   context.Context //nolint:containedctx // of the query, for as long as it is read
	names []string
}

// Columns are the names of the columns.
func (r *usersRows) Columns() []string { return r.names }

// Close ends the reading.
func (r *usersRows) Close() error {
	if r.s.u.over {
		return nil
	}
	return r.s.raw.Reset()
}

// Next reads a row.
func (r *usersRows) Next(dest []driver.Value) error {
	if r.s.u.over {
		return sql.ErrTxDone
	}
	defer r.s.u.c.under(r.ctx)()
	raw := r.s.raw
	if !raw.Step() {
		if err := raw.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	for i := range dest {
		switch raw.ColumnType(i) {
		case sqlite3.INTEGER:
			dest[i] = raw.ColumnInt64(i)
		case sqlite3.FLOAT:
			dest[i] = raw.ColumnFloat(i)
		case sqlite3.TEXT:
			dest[i] = textOrTime(raw.ColumnText(i), raw.ColumnDeclType(i))
		case sqlite3.BLOB:
			dest[i] = raw.ColumnBlob(i, []byte{})
		default:
			dest[i] = nil
		}
	}
	return nil
}

// textOrTime is a time where the column is declared as one.
func textOrTime(text, declared string) driver.Value {
	switch strings.ToUpper(declared) {
	case "DATE", "TIME", "DATETIME", "TIMESTAMP":
		if t, err := sqlite3.TimeFormatAuto.Decode(text); err == nil {
			return t
		}
	}
	return text
}

var (
	_ driver.Connector        = (*usersConn)(nil)
	_ driver.ExecerContext    = (*usersConn)(nil)
	_ driver.StmtExecContext  = (*usersStmt)(nil)
	_ driver.StmtQueryContext = (*usersStmt)(nil)
	_ Queries                 = (*sql.Tx)(nil)
)
