package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lambdabiz/lambdabiz"
)

var (
	errClosed = errors.New("postgres: backend is closed")
	// errAgain: what a transaction has found was changed before it had the lock.
	errAgain = errors.New("what was read has changed")
	// errStandby may be another one's word soon: one is promoted.
	errStandby = errors.New("the server is a standby, which takes no writes: name all servers in the URL, as host1,host2, " +
		"with target_session_attrs=read-write")
)

// faultError is a fault of the server, or of the way to it.
type faultError struct {
	what      string
	err       error
	temporary bool
}

// Error says what was done, and what the server says.
func (e *faultError) Error() string { return fmt.Sprintf("postgres: %s: %v", e.what, e.err) }

// Unwrap returns what the driver gave.
func (e *faultError) Unwrap() error { return e.err }

// Temporary reports whether the fault is none of what was to be written: the server is out of reach, busy or full.
func (e *faultError) Temporary() bool { return e.temporary }

// faultOf says what was done when an error came. The sentinels of the root package stay what they are.
func faultOf(ctx context.Context, what string, err error) error {
	if err == nil || errors.Is(err, errClosed) {
		return err
	}
	for _, sentinel := range []error{
		lambdabiz.ErrNotFound, lambdabiz.ErrFenced, lambdabiz.ErrStale, lambdabiz.ErrMode, lambdabiz.ErrOpen,
		lambdabiz.ErrOutcomeUnknown,
	} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("postgres: %s: %w", what, ctx.Err())
	}
	return &faultError{what, explained(err), isTemporary(err)}
}

// advised adds what to do to an error that is about the schema.
func advised(err error) error {
	switch code(err) {
	case "42P01", "42703", "3F000", "42P10": // a table, a column, the schema; a unique index, which ON CONFLICT wants
		steps, _ := migrations() // they are in the program
		return fmt.Errorf("something is missing in the schema: restore what version %d of it has: %w", len(steps), err)
	case "26000", "42P05":
		return fmt.Errorf("prepared statements do not last on this connection: is there a pooler that is not seen? Put "+
			"default_query_exec_mode=cache_describe into the URL: %w", err)
	case "42501":
		return fmt.Errorf("the role lacks a right: GRANT USAGE on the schema, and SELECT, INSERT, UPDATE, DELETE on its tables: %w", err)
	}
	return err
}

// code is the SQLSTATE of an error, empty where it is not the server's.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// isConflict reports whether the same transaction may succeed when it is tried again at once.
func isConflict(err error) bool {
	switch code(err) {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	}
	return errors.Is(err, errAgain)
}

// isOutOfDate reports whether the server does not have a prepared statement as the driver knows it: somebody has removed it, or
// changed a table, or it is that of another client of a pooler.
func isOutOfDate(err error) bool {
	switch code(err) {
	case "26000", "42P05": // invalid_sql_statement_name, duplicate_prepared_statement
		return true
	case "0A000": // feature_not_supported
		return strings.Contains(err.Error(), "cached plan")
	}
	return false
}

// isOwn reports whether an error that came again and again may be that of a few commits of a batch: they meet what others do not,
// or all of them are too much for one transaction.
func isOwn(err error) bool {
	c := code(err)
	return isConflict(err) || c == "55P03" || strings.HasPrefix(c, "54") // lock_not_available, program_limit_exceeded
}

// isOfTheServer reports whether an error says that the server is none to write to: it ends, starts, has become a standby, or has
// no room for a connection.
func isOfTheServer(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "08") || strings.HasPrefix(c, "57P") || c == "25006" || c == "53300"
}

// isCutOff reports whether a connection ended before its transaction was to be committed, and another one may do better at
// once. The server has answered nothing else than that, or was not asked.
func isCutOff(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || errors.Is(err, lambdabiz.ErrOutcomeUnknown) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return isLost(err) || isOfTheServer(err) || isOutOfDate(err)
}

// isTemporary reports whether an error says nothing of what was to be written.
func isTemporary(err error) bool {
	switch c := code(err); {
	case isConflict(err):
		return true
	case c != "":
		// Connections, resources, the operator, files; a read-only server, a lock that was not to be had, a time-out.
		for _, class := range []string{"08", "53", "57", "58", "25006", "55P03"} {
			if strings.HasPrefix(c, class) {
				return true
			}
		}
		return false
	}
	if errors.Is(err, errOldPrimary) || errors.Is(err, errReadOnly) {
		return true
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) || isLost(err) || errors.Is(err, errStandby)
}

// isFinal reports whether the server itself has said that a transaction was not committed. What is more than an error ends the
// connection, and may come while the commit waits for a standby.
func isFinal(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized == "ERROR"
}
