package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// heldLong is how long a snapshot may be held: while it is, no version of a row that was current then can be removed, and
	// every access to a row that changes often reads them all.
	heldLong = 5 * time.Minute
	// heldFar is the same for what has no time: transactions since.
	heldFar = 1_000_000
	// deadMany is how many dead rows are worth a word, where they are more than a fifth of the living ones.
	deadMany = 10_000
	// shortTimeout is a limit of statements that commits of a busy server come near to.
	shortTimeout = 5 * time.Second
	// newsLate is how long a message may lie before its holder was told.
	newsLate = 10 * time.Second
)

const (
	sqlSettings = `SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit',
		'synchronous_standby_names', 'statement_timeout', 'transaction_timeout', 'default_transaction_read_only', 'autovacuum',
		'max_connections')`
	sqlConnections = `SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'`
	sqlStandbys    = `SELECT COALESCE(application_name, ''), COALESCE(state, ''), COALESCE(sync_state, '')
		FROM pg_catalog.pg_stat_replication ORDER BY 1`
	// A session of somebody else's shows its snapshot to administrators, and to members of pg_read_all_stats. What is held in
	// another database does not count here; a standby's session and a slot have none.
	sqlSnapshots = `SELECT who, since, behind FROM (
		SELECT 'session ' || pid || ' of ' || COALESCE(usename, '?') || ' (' || COALESCE(NULLIF(application_name, ''), 'no name') || ', '
			|| COALESCE(state, backend_type) || ')' AS who, COALESCE(xact_start, backend_start) AS since,
			pg_catalog.age(backend_xmin) AS behind, datname AS database
			FROM pg_catalog.pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
		UNION ALL SELECT 'prepared transaction ' || gid, prepared, pg_catalog.age(transaction), database FROM pg_catalog.pg_prepared_xacts
		UNION ALL SELECT 'replication slot ' || slot_name, NULL, pg_catalog.age(xmin), database FROM pg_catalog.pg_replication_slots
			WHERE xmin IS NOT NULL
		) AS held WHERE database IS NULL OR database = current_database() ORDER BY behind DESC, since LIMIT 1`
	sqlVacuum = `SELECT relname, n_live_tup, n_dead_tup FROM pg_catalog.pg_stat_user_tables WHERE schemaname = $1
		ORDER BY n_dead_tup DESC, relname`
	// The newest message of a run is one that the holder has not been told of; older ones may be kept for a wait to come.
	sqlNews = `SELECT count(*), min(newest) FROM (SELECT max(i.arrived_at) AS newest FROM @runs AS r JOIN @inbox AS i ON i.run_no = r.no
		WHERE r.news AND r.owner > 0 AND r.status < 3 GROUP BY r.no) AS untold`
)

func (k *checker) settings(ctx context.Context, at *Check) (bool, error) {
	at.Name = "settings"
	set := map[string]string{}
	rows, err := k.conn.Query(ctx, sqlSettings)
	if err == nil {
		err = eachRow(rows, func(rows pgx.Rows) error {
			var name, value string
			err := rows.Scan(&name, &value)
			set[name] = value
			return err
		})
	}
	if err != nil {
		return true, err
	}
	var used int
	if err := k.conn.QueryRow(ctx, sqlConnections).Scan(&used); err != nil {
		return true, err
	}
	at.Detail = fmt.Sprintf("synchronous_commit %s, fsync %s, %d of %s connections used", set["synchronous_commit"], set["fsync"], used,
		set["max_connections"])
	if set["default_transaction_read_only"] == "on" {
		at.Err = errors.New("default_transaction_read_only is on: nothing can be written; set it off for the role")
	}
	var warnings []string
	warn := func(if_ bool, format string, args ...any) {
		if if_ {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	warn(set["fsync"] == "off", "fsync is off: a loss of power may destroy all")
	warn(set["full_page_writes"] == "off", "full_page_writes is off: a loss of power may destroy pages")
	warn(set["synchronous_commit"] == "off", "synchronous_commit is off: a crash of the server loses the last that was acknowledged")
	warn(set["synchronous_standby_names"] != "" && set["synchronous_commit"] == "local",
		"synchronous_commit is local: a fail-over loses what the standby has not received")
	warn(set["autovacuum"] == "off", "autovacuum is off: dead rows stay, and each access reads them")
	for _, name := range []string{"statement_timeout", "transaction_timeout"} {
		limit, err := time.ParseDuration(set[name] + "ms")
		warn(err == nil && limit > 0 && limit < shortTimeout, "%s is %v for this role: a slow commit is ended and tried again", name, limit)
	}
	at.Warning = strings.Join(warnings, "; ")
	return true, nil
}

// standbys looks whether what is acknowledged survives the server.
func (k *checker) standbys(ctx context.Context, at *Check) (bool, error) {
	at.Name = "standby"
	var names string
	if err := k.conn.QueryRow(ctx, `SELECT current_setting('synchronous_standby_names')`).Scan(&names); err != nil {
		return true, err
	}
	var all []string
	hidden, synchronous := false, false
	rows, err := k.conn.Query(ctx, sqlStandbys)
	if err == nil {
		err = eachRow(rows, func(rows pgx.Rows) error {
			var name, state, kind string
			err := rows.Scan(&name, &state, &kind)
			hidden = hidden || kind == ""
			synchronous = synchronous || state == "streaming" && (kind == "sync" || kind == "quorum")
			all = append(all, strings.Join(strings.Fields(name+" "+state+" "+kind), " "))
			return err
		})
	}
	if err != nil {
		return true, err
	}
	at.Detail = "none"
	if len(all) > 0 {
		at.Detail = strings.Join(all, ", ")
	}
	switch {
	case hidden:
		at.Warning = "the role may not see of which kind they are: GRANT pg_monitor to it"
	case names != "" && !synchronous:
		at.Err = fmt.Errorf("synchronous_standby_names is %q, and no such standby is connected: every commit waits for it", names)
	case len(all) > 0 && !synchronous:
		at.Warning = "none is synchronous: a fail-over loses the last that was acknowledged; see synchronous_standby_names"
	}
	return true, nil
}

// snapshots looks for who keeps dead rows from being removed.
func (k *checker) snapshots(ctx context.Context, at *Check) (bool, error) {
	at.Name, at.Detail = "snapshots", "none is held"
	rows, err := k.conn.Query(ctx, sqlSnapshots)
	if err != nil {
		return true, err
	}
	return true, eachRow(rows, func(rows pgx.Rows) error {
		var who string
		var since *time.Time
		var behind int64
		if err := rows.Scan(&who, &since, &behind); err != nil {
			return err
		}
		at.Detail = fmt.Sprintf("the oldest is held by %s, %d transactions behind", who, behind)
		long := behind > heldFar
		if since != nil {
			held := time.Since(*since)
			at.Detail += fmt.Sprintf(", for %v", held.Round(time.Second))
			long = long || held > k.held
		}
		if long {
			at.Warning = "no dead row of any table can be removed before it ends: end it, and limit idle_in_transaction_session_timeout"
		}
		return nil
	})
}

func (k *checker) vacuum(ctx context.Context, at *Check) (bool, error) {
	at.Name = "vacuum"
	var all, many []string
	rows, err := k.conn.Query(ctx, sqlVacuum, k.schema)
	if err != nil {
		return true, err
	}
	err = eachRow(rows, func(rows pgx.Rows) error {
		var table string
		var live, dead int64
		err := rows.Scan(&table, &live, &dead)
		if dead > 0 {
			all = append(all, fmt.Sprintf("%s %d of %d", table, dead, live+dead))
		}
		if dead > k.dead && dead > live/5 {
			many = append(many, table)
		}
		return err
	})
	at.Detail = "no dead rows"
	if len(all) > 0 {
		at.Detail = "dead rows: " + strings.Join(all, ", ")
	}
	if len(many) > 0 {
		at.Warning = strings.Join(many, ", ") + ": autovacuum does not keep up, or a snapshot is held; see docs/production.md"
	}
	return true, err
}

// inbox looks for messages that the holders of their runs have not been told.
func (k *checker) inbox(ctx context.Context, at *Check) (bool, error) {
	at.Name = "inbox"
	var waiting int64
	var oldest *int64
	err := k.conn.QueryRow(ctx, strings.ReplaceAll(sqlNews, "@", k.quoted+".")).Scan(&waiting, &oldest)
	if err != nil {
		return true, err
	}
	at.Detail = "all holders know their messages"
	if waiting > 0 && oldest != nil {
		late := time.Since(time.UnixMicro(*oldest)).Round(time.Millisecond)
		at.Detail = fmt.Sprintf("%d holders have not been told of a message, which came up to %v ago", waiting, late)
		if late > k.late {
			at.Warning = "a holder does not ask for its messages: look at the logs of the workers"
		}
	}
	return true, nil
}
