package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// way is how statements reach the server, and what may be said there. It is found out once, before the first statement.
type way struct {
	portable bool // see Config.Portable
	// pooled: a pooler such as PgBouncer lends a connection of its own for each transaction. What is set or prepared for a
	// session is lost then, or somebody else's, and nobody can listen.
	pooled bool
	// plain: each statement goes with its text and its parameters, whatever the pool's way. The driver would prepare them for
	// the session, or ask for their types in a transaction of its own.
	plain bool
}

const leastVersion = 14

// find asks the server how it is reached. It asks in one message, whatever the pool's way of sending.
func (w *way) find(ctx context.Context, conn *pgx.Conn) error {
	if w.portable {
		w.plain = conn.Config().DefaultQueryExecMode == pgx.QueryExecModeExec
		return nil // it may not know the answers
	}
	if err := w.refuse(ctx, conn); err != nil {
		return err
	}
	found, err := conn.PgConn().Exec(ctx, `SELECT version(), pg_backend_pid(), current_setting('server_version_num'),
		current_setting('server_encoding'), pg_is_in_recovery(), current_setting('bytea_output')`).ReadAll()
	if err != nil {
		return err
	}
	answer := found[0].Rows[0]
	version, pid, encoding := string(answer[0]), string(answer[1]), string(answer[3])
	if number, _ := strconv.Atoi(string(answer[2])); number < leastVersion*10000 {
		return fmt.Errorf("the server is %s: take PostgreSQL %d or newer", firstWords(version), leastVersion)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database is encoded in %s: create one with ENCODING 'UTF8'", encoding)
	}
	if string(answer[4]) == "t" {
		return errStandby
	}
	// A pooler tells its clients numbers of its own: they are for cancelling, and it has to know whose query is meant.
	w.pooled = pid != strconv.FormatUint(uint64(conn.PgConn().PID()), 10)
	switch conn.Config().DefaultQueryExecMode {
	case pgx.QueryExecModeExec:
		w.plain = true
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec:
		w.plain = w.pooled
	case pgx.QueryExecModeSimpleProtocol:
		if bytea := string(answer[5]); bytea != "hex" {
			return fmt.Errorf("bytea_output is %s, which the simple protocol cannot read: set it to hex, or take another "+
				"default_query_exec_mode", bytea)
		}
	case pgx.QueryExecModeCacheDescribe:
	}
	return nil
}

// refuse says of a server that is no PostgreSQL that the portable mode is for it.
func (w *way) refuse(ctx context.Context, conn *pgx.Conn) error {
	found, err := conn.PgConn().Exec(ctx, "SELECT version()").ReadAll()
	if err != nil {
		return err
	}
	if other := another(conn.Config().Host, string(found[0].Rows[0][0])); other != "" {
		return fmt.Errorf("the server is %s: set Portable in postgres.Config", other)
	}
	return nil
}

// another names a server that is no PostgreSQL, by its host and its word.
func another(host, version string) string {
	switch {
	case strings.Contains(version, "CockroachDB"):
		return "CockroachDB"
	case strings.Contains(version, "-YB-"):
		return "YugabyteDB"
	case strings.Contains(host, ".dsql."):
		return "Aurora DSQL"
	}
	return ""
}

func firstWords(version string) string {
	words := strings.Fields(version)
	return strings.Join(words[:min(len(words), 2)], " ")
}

// listens reports whether a connection may wait for notices.
func (w *way) listens() bool { return !w.pooled && !w.portable }

// notifies reports whether there are notices at all.
func (w *way) notifies() bool { return !w.portable }

// settle adds what a transaction sets for itself.
func (p *pipe) settle() {
	if b := p.t.b; !b.way.portable {
		p.add(qSettings, nil, nil, b.patience()...)
	}
}
