package postgres

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Check is what [CheckDatabase] found out about one thing that orchestrations in PostgreSQL need.
type Check struct {
	Name    string // "connection", "server", "schema", "rights", "tables", "settings", "standby", "snapshots", "vacuum" or "inbox"
	Detail  string // what it is; never a password
	Warning string // what may become a problem, or is less than what is promised; empty for nothing
	Err     error  // what is wrong with it
}

// CheckDatabase looks whether the database that a URL names is fit for orchestrations: whether it can be reached, what the
// role may do, whether all tables and indexes are there, and what makes commits slow or less durable than promised. It writes
// nothing. Where one check fails on which the others depend, it is the last. What the server shows to administrators only, and
// the role may not see, is not reported; what a server for the portable mode does not know is the error of its check.
func CheckDatabase(ctx context.Context, url string, c Config) []Check {
	k := &checker{limits: limits{held: heldLong, dead: deadMany, late: newsLate}}
	k.run(ctx, url, c)
	return k.checks
}

// limits are from when on something is worth a warning.
type limits struct {
	held time.Duration // a snapshot
	dead int64         // rows of a table
	late time.Duration // a message
}

// checker collects checks on one connection.
type checker struct {
	limits
	conn     *pgx.Conn
	portable bool
	schema   string // as it is called
	quoted   string // as it stands in statements
	checks   []Check
}

func (k *checker) run(ctx context.Context, url string, c Config) {
	if !k.connect(ctx, url, c) {
		return
	}
	defer func() { _ = k.conn.Close(ctx) }() // it has changed nothing
	for _, check := range []func(context.Context, *Check) (further bool, err error){
		k.server, k.schemaVersion, k.relations, k.rights, k.settings, k.standbys, k.snapshots, k.vacuum, k.inbox,
	} {
		at := Check{}
		further, err := check(ctx, &at)
		if err != nil && at.Err == nil {
			at.Err = explained(err)
		}
		k.checks = append(k.checks, at)
		if !further || err != nil && ctx.Err() != nil {
			return
		}
	}
}

func (k *checker) connect(ctx context.Context, url string, c Config) bool {
	at := Check{Name: "connection"}
	k.portable = c.Portable
	config, err := parse(url)
	if err == nil {
		k.quoted, err = quoted(c.Schema)
		k.schema = strings.Trim(k.quoted, `"`)
	}
	if err == nil {
		at.Detail = fmt.Sprintf("%s as %s, database %s", hosts(config.ConnConfig), config.ConnConfig.User, config.ConnConfig.Database)
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // behind a pooler too
		k.conn, err = pgx.ConnectConfig(ctx, config.ConnConfig)
	}
	if err != nil {
		at.Err = explained(err)
		k.checks = append(k.checks, at)
		return false
	}
	if _, encrypted := k.conn.PgConn().Conn().(*tls.Conn); encrypted {
		at.Detail += ", with TLS"
	} else {
		at.Detail += ", without TLS"
	}
	k.checks = append(k.checks, at)
	return true
}

// hosts are the servers that a URL names.
func hosts(c *pgx.ConnConfig) string {
	all := []string{fmt.Sprintf("%s:%d", c.Host, c.Port)}
	for _, f := range c.Fallbacks { // one for each host, and one for each way to encrypt
		if host := fmt.Sprintf("%s:%d", f.Host, f.Port); !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return strings.Join(all, ", ")
}

func (k *checker) server(ctx context.Context, at *Check) (bool, error) {
	at.Name, at.Detail = "server", "PostgreSQL "+k.conn.PgConn().ParameterStatus("server_version")
	w := way{portable: k.portable}
	err := w.find(ctx, k.conn)
	if w.pooled {
		at.Detail += ", behind a pooler"
	}
	return err == nil, err
}

func (k *checker) schemaVersion(ctx context.Context, at *Check) (bool, error) {
	at.Name, at.Detail = "schema", k.schema
	steps, err := migrations()
	if err != nil {
		return false, err
	}
	b := &Backend{schema: k.quoted}
	version, err := b.version(ctx, k.conn)
	if err != nil {
		return false, err
	}
	if version > 0 {
		at.Detail += fmt.Sprintf(", version %d", version)
	}
	switch {
	case version == 0:
		at.Err = b.missing()
	case version > len(steps):
		at.Err = b.understood(ctx, k.conn, version, len(steps))
	case version < len(steps):
		at.Warning = fmt.Sprintf("the next process of this version brings it to %d; processes of the former version work on", len(steps))
	}
	return version > 0, nil
}
