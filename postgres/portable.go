package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The portable mode is for servers that speak as PostgreSQL does and are another: see Config.Portable. It is written for
// snapshot isolation alone, in which a transaction that writes a row which has changed since it began is refused with 40001,
// at once or at its COMMIT. So there are no locks but writes, and what has been read and is written in the same transaction
// is still so. What must not change although the transaction does not write it is written as it is.

// rewritten are the statements that are others in the portable mode.
var rewritten = map[query]string{
	qBegin: `BEGIN ISOLATION LEVEL REPEATABLE READ`,
	// Whoever takes over deletes these rows, and whoever looks for a lost answer writes them: one of the two is refused.
	qLanes: `UPDATE @lanes SET turn = turn + 1 WHERE worker = ANY($1::bigint[]) AND lane = $2 OR worker = ANY($3::bigint[])
		RETURNING worker, lane`,
	// Also what a batch does not change, for it has decided by it.
	qLockRuns: `UPDATE @runs SET fence = fence WHERE no = ANY($1::bigint[]) RETURNING ` + listColumns,

	// What these read is written in the same transaction: qDeleteWorker, qFree, qUnblock, qUpdateRuns, qPurgeRuns, qForgetPlaces.
	qLockWorker:  unlocked(qLockWorker),
	qLockFree:    unlocked(qLockFree),
	qLockHeld:    unlocked(qLockHeld),
	qLockBlocked: unlocked(qLockBlocked),
	qDue:         unlocked(qDue),
	qLockEnded:   unlocked(qLockEnded),
	qLockPlaces:  unlocked(qLockPlaces),
	qTold:        unlocked(qTold),
	qLockMail:    unlocked(qLockMail), // qForgetMail

	// The end of a step: whoever takes the run over writes this row, too.
	qShareRun: `UPDATE @runs SET fence = fence WHERE no = $1 AND fence = $2 AND status < 3 RETURNING 1`,
	qLockRun:  `UPDATE @runs SET fence = fence WHERE no = $1 AND fence = $2 AND status < 3 RETURNING 1`,

	qOrphans: `SELECT DISTINCT owner FROM @runs AS r WHERE owner > 0 AND NOT EXISTS (SELECT 1 FROM @workers AS w WHERE w.no = r.owner)`,

	qSettings:     "", // never said, as those that follow
	qStepSettings: "",
	qNotify:       "",
	qNotifyAll:    "",
	qQuickLane:    "",
	qQuickStarts:  "",

	// Without partial indexes nothing says which index is meant. Whatever is in the way of a row, its transaction begins anew.
	qInsertRuns: anyConflict(qInsertRuns),
	qStartRun:   anyConflict(qStartRun),
	qKeepPlaces: anyConflict(qKeepPlaces),
}

var locking = regexp.MustCompile(`\s+FOR (NO KEY )?UPDATE( SKIP LOCKED)?`)

// unlocked is a statement without its locks.
func unlocked(q query) string { return locking.ReplaceAllString(statements[q], "") }

func anyConflict(q query) string {
	return strings.ReplaceAll(statements[q], "ON CONFLICT (id) WHERE latest DO NOTHING", "ON CONFLICT DO NOTHING")
}

// Limits of the least of these servers: Aurora DSQL takes keys of 1 KiB, and rows of 2 MiB, in which a run has three payloads.
const (
	portableBatchSize       = 128
	portableMaxIDBytes      = 900
	portableMaxPayloadBytes = 512 << 10
)

// Parts of a step of the schema that are not portable.
var (
	comments     = regexp.MustCompile(`--.*`)
	storage      = regexp.MustCompile(`(?s)\)\s*WITH \(.*$`)
	indexes      = regexp.MustCompile(`(?s)^CREATE INDEX (\w+) ON (\w+) (\(.*?\))( WHERE .*)?$`)
	uniquePart   = regexp.MustCompile(`(?s)^CREATE UNIQUE INDEX .* WHERE `)
	tables       = regexp.MustCompile(`^CREATE TABLE (\w+)`)
	moreColumns  = regexp.MustCompile(`^ALTER TABLE (\w+) ADD COLUMN `)
	onlyPortable = regexp.MustCompile(`-- portable: `)
)

// portably returns the statements of a step as any of these servers takes them, each in a transaction of its own, once more as
// well: without what is for speed, and with indexes of all rows. In their files "-- portable:" stands before what takes the
// place of a unique index of some rows.
func portably(step, schema string) []string {
	var all []string
	for s := range strings.SplitSeq(comments.ReplaceAllString(onlyPortable.ReplaceAllString(step, ""), ""), ";") {
		s = strings.ReplaceAll(strings.TrimSpace(s), ` COLLATE "C"`, "")
		s = storage.ReplaceAllString(s, ")")
		s = indexes.ReplaceAllString(s, "CREATE INDEX IF NOT EXISTS $1 ON "+schema+".$2 $3")
		s = tables.ReplaceAllString(s, "CREATE TABLE IF NOT EXISTS "+schema+".$1")
		s = moreColumns.ReplaceAllString(s, "ALTER TABLE "+schema+".$1 ADD COLUMN IF NOT EXISTS ")
		if s != "" && !uniquePart.MatchString(s) {
			all = append(all, s)
		}
	}
	return all
}

const (
	// migratePatience is how long a process that brings the schema up to date may be silent before another one takes its place.
	migratePatience = 2 * time.Minute
	migratePause    = 200 * time.Millisecond
)

// stepPortably applies the next step, one statement a transaction, as the holder of a row; or waits for who holds it. Two may
// be at it for a moment, when one was taken for dead: every statement may come twice.
func (b *Backend) stepPortably(ctx context.Context, conn *pgx.Conn, steps []string) (int, error) {
	for _, s := range metaTable(b.schema) {
		if err := b.define(ctx, conn, s); err != nil {
			return 0, fmt.Errorf("prepare the schema: %w", err)
		}
	}
	version, mine, err := b.takeMigration(ctx, conn, len(steps))
	if err != nil || !mine {
		return version, err
	}
	for _, s := range portably(steps[version], b.schema) {
		if err := b.define(ctx, conn, s); err != nil {
			return 0, fmt.Errorf("migrate to version %d: %w", version+1, err)
		}
		if err := b.define(ctx, conn, "UPDATE "+b.schema+".meta SET turn = turn + 1"); err != nil {
			return 0, err
		}
	}
	return version + 1, b.define(ctx, conn, "UPDATE "+b.schema+".meta SET turn = turn + 1, holder = 0, minimum = "+
		strconv.Itoa(minimumOf(steps[:version+1]))+", version = "+strconv.Itoa(version+1)+" WHERE version = "+strconv.Itoa(version))
}

// takeMigration waits until nobody migrates, and takes the row if there still is something to do.
func (b *Backend) takeMigration(ctx context.Context, conn *pgx.Conn, newest int) (version int, mine bool, err error) {
	var lastTurn int64 = -1
	var since time.Time
	for {
		var holder, turn int64
		err := conn.QueryRow(ctx, "SELECT version, holder, turn FROM "+b.schema+".meta", alone).Scan(&version, &holder, &turn)
		if err != nil && !isConflict(err) || err == nil && version >= newest {
			return version, false, err
		}
		if turn != lastTurn {
			lastTurn, since = turn, time.Now()
		}
		if err == nil && (holder == 0 || time.Since(since) > b.migratePatience) {
			tag, err := conn.Exec(ctx, "UPDATE "+b.schema+".meta SET holder = $1, turn = turn + 1 WHERE turn = $2", alone, b.process, turn)
			if err == nil && tag.RowsAffected() == 1 {
				return version, true, nil
			}
			if err != nil && !isConflict(err) {
				return version, false, err
			}
		}
		select {
		case <-ctx.Done():
			return version, false, ctx.Err()
		case <-time.After(migratePause):
		}
	}
}

// define runs a statement that may be refused because another process says the same.
func (b *Backend) define(ctx context.Context, conn *pgx.Conn, statement string) error {
	return b.retry(ctx, func() error {
		_, err := conn.Exec(ctx, statement, alone)
		if asked := code(err) == "0A000" && strings.Contains(err.Error(), "ASYNC"); asked {
			_, err = conn.Exec(ctx, strings.Replace(statement, "CREATE INDEX ", "CREATE INDEX ASYNC ", 1), alone)
		}
		switch code(err) {
		case "23505", "42P06", "42P07", "42710": // unique_violation in its own tables, duplicate_schema, _table, _object
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		return err
	})
}
