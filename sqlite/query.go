package sqlite

import "strings"

// query names a statement; each connection prepares it once.
type query int

const (
	qBegin query = iota
	qBeginImmediate
	qCommit
	qRollback
	qDataVersion

	qInsertOperations1
	qInsertOperations4
	qInsertOperations16
	qInsertOperations64
	qGuardedOperation
	qOperation
	qOperations

	qInsertRun
	qGuardedStart
	qRunHead
	qLatestHead
	qRunIDHead
	qUsersHead
	qRun
	qRunInfo
	qSize
	qOperationSizes
	qLatest
	qByRunID
	qIsOpen
	qSetStarted
	qSetProgress
	qRelease
	qClose
	qSetState
	qSetDue
	qSetCrashes

	qInsertMessage
	qMessages
	qNewerMessages
	qCountMessages
	qConsume
	qMoveMessages
	qWithdrawPause
	qFindKey
	qInsertKey
	qFindKept
	qFindKeptKey
	qInsertKept
	qDropKept
	qExpireKept
	qExpireOwn
	qFindExpired
	qArrivals
	qLastMessage

	qInsertWorker
	qSetLock
	qFindWorker
	qBeat
	qDeleteWorker
	qWorkers
	qFree
	qUnblock

	qDue
	qDueAtOnce
	qNextWake
	qRivals
	qDueBeside
	qDueAtOnceBeside
	qNextWakeBeside
	qClaim
	qFreeDoubtful

	qBatch
	qFindBatch
	qForgetWriters
	qForgetWriter

	qList
	qListPrefix
	qCounts
	qCountsPrefix
	qPurgeable
	qPurgeableID
	qOpenOfID
	qStillEnded
	qPurgeOperations
	qPurgeMessages
	qPurgeKeys
	qPurgeRun
	qLastRun
	qTombstone
	qDropTombstones

	queryCount
)

const (
	operationColumns = `number, kind, status, attempts, scheduled_at, started_after, ended_after,
		due_after, expires_after, stop, path, name, target, error, input, result, details`
	insertOperations = `INSERT OR REPLACE INTO operations (run_no, ` + operationColumns + `) `
	operationValues  = `(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`

	insertRun = `INSERT INTO runs (status, mode, fence, owner, wake_at, scheduled_at, started_after,
		deadline_after, chain, id, run_id, name, tags, parent, previous, input) `

	// What the rules look at.
	stateColumns = `fence, status, mode, owner, paused, cancel_requested, blocked IS NOT NULL, crashes, crash_mark, wake_at,
		id, run_id, name, parent, pause_reason, cancel_reason`
	headColumns = `no, COALESCE(chain, no), ` + stateColumns
	infoColumns = `no, ` + stateColumns + `, scheduled_at, started_after, ended_after, deadline_after,
		tags, blocked, orphans, previous, next, error, version`
	runColumns  = infoColumns + `, input, result, progress`
	listColumns = infoColumns + `, NULL, NULL, NULL`

	messageColumns = `number, kind, arrived_at, name, key, operation, status, error, payload`

	blockedVersion = `CASE WHEN json_valid(blocked) THEN COALESCE(json_extract(blocked, '$.version'), '') ELSE '' END`
	notBlockedBy   = `(blocked IS NULL OR ` + blockedVersion + ` != `

	// readableWorkers keeps one bad row from failing every claim.
	readableWorkers = `SELECT no, CASE WHEN json_valid(info) THEN info ELSE '{}' END AS info FROM workers`

	// Optional conditions are switched by their parameter, so that no filter changes the text.
	listWhere = `
		AND id IS NOT NULL
		AND no < ?3
		AND (?4 = 0 OR (1 << status) & ?4 != 0)
		AND (?5 IS NULL OR name = ?5)
		AND (?6 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?6) AS want WHERE NOT EXISTS (
			SELECT 1 FROM json_each(CASE WHEN json_valid(r.tags) THEN r.tags ELSE '{}' END) AS has
			WHERE has.key = want.key AND has.value = want.value)))
		AND (?7 = 0 OR (blocked IS NOT NULL AND status < 3))
		AND (?8 = 0 OR paused = 1)
		AND (?9 IS NULL OR scheduled_at >= ?9)
		AND (?10 IS NULL OR scheduled_at < ?10)
		AND (?11 = 1 OR NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.id = r.id AND later.no > r.no))
		ORDER BY no DESC LIMIT ?12`
)

func insertOperationRows(rows int) string {
	return insertOperations + `VALUES ` + operationValues + strings.Repeat(`,`+operationValues, rows-1)
}

var queries = [queryCount]string{
	qBegin:          `BEGIN`,
	qBeginImmediate: `BEGIN IMMEDIATE`,
	qCommit:         `COMMIT`,
	qRollback:       `ROLLBACK`,
	qDataVersion:    `PRAGMA data_version`,

	qInsertOperations1:  insertOperationRows(1),
	qInsertOperations4:  insertOperationRows(4),
	qInsertOperations16: insertOperationRows(16),
	qInsertOperations64: insertOperationRows(64),
	qGuardedOperation: insertOperations + `SELECT ?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?
		WHERE EXISTS (SELECT 1 FROM runs WHERE no = ?1 AND fence = ?19 AND status < 3)`,
	qOperation:  `SELECT ` + operationColumns + ` FROM operations WHERE run_no = ? AND number = ?`,
	qOperations: `SELECT ` + operationColumns + ` FROM operations WHERE run_no = ? ORDER BY number`,

	qInsertRun: insertRun + `VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
	qGuardedStart: insertRun + `SELECT ?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?
		WHERE NOT EXISTS (SELECT 1 FROM runs WHERE id = ?10)
		AND NOT EXISTS (SELECT 1 FROM kept WHERE id = ?10)
		AND (?4 <= 0 OR EXISTS (SELECT 1 FROM workers WHERE no = ?4))`,
	// For the transactions of others.
	qUsersHead: `SELECT no, COALESCE(chain, no), status, mode, owner, paused, blocked IS NOT NULL, run_id, COALESCE(name, '')
		FROM runs WHERE id = ? ORDER BY no DESC LIMIT 1`,
	qRunHead:    `SELECT ` + headColumns + ` FROM runs WHERE no = ?`,
	qLatestHead: `SELECT ` + headColumns + ` FROM runs WHERE id = ? ORDER BY no DESC LIMIT 1`,
	qRunIDHead:  `SELECT ` + headColumns + ` FROM runs WHERE id = ? AND run_id = ? ORDER BY no DESC LIMIT 1`,
	qRun:        `SELECT ` + runColumns + ` FROM runs WHERE no = ?`,
	qRunInfo:    `SELECT ` + listColumns + ` FROM runs WHERE no = ?`,
	// What the row and the messages of a run cost to read: no more messages than ?3, each ?2 beside its payload. Their
	// lengths are known without reading them.
	qSize: `SELECT fence,
		COALESCE(octet_length(input), 0) + COALESCE(octet_length(result), 0) + COALESCE(octet_length(progress), 0),
		(SELECT COALESCE(SUM(?2 + COALESCE(length, 0)), 0) FROM (SELECT octet_length(payload) AS length
			FROM inbox WHERE run_no = ?1 LIMIT ?3))
		FROM runs WHERE no = ?1`,
	qOperationSizes: `SELECT COALESCE(octet_length(input), 0) + COALESCE(octet_length(result), 0) +
		COALESCE(octet_length(details), 0) FROM operations WHERE run_no = ? ORDER BY number`,
	qLatest: `SELECT ` + runColumns + ` FROM runs WHERE id = ? ORDER BY no DESC LIMIT 1`,
	qIsOpen: `SELECT 1 FROM runs WHERE id = ?1 AND run_id = ?2 AND status < 3
		AND no = (SELECT no FROM runs WHERE id = ?1 ORDER BY no DESC LIMIT 1)`,
	qByRunID: `SELECT ` + runColumns + ` FROM runs WHERE id = ? AND run_id = ? ORDER BY no DESC LIMIT 1`,

	qSetStarted:  `UPDATE runs SET status = 2, started_after = ?2 - scheduled_at WHERE no = ?1 AND status = 1`,
	qSetProgress: `UPDATE runs SET progress = ? WHERE no = ?`,
	// The fence moves, so that a holder that has released the run can write no more.
	qRelease: `UPDATE runs SET owner = CASE mode WHEN 0 THEN 0 ELSE -1 END, wake_at = ?2, blocked = ?3,
		version = COALESCE(?4, version), fence = fence + 1, crashes = 0, crash_mark = 0 WHERE no = ?1 AND status < 3`,
	qClose: `UPDATE runs SET owner = 0, wake_at = NULL, blocked = NULL, paused = 0, status = ?2, fence = ?3,
		ended_after = ?4 - scheduled_at, result = ?5, error = ?6, orphans = ?7, next = ?8 WHERE no = ?1 AND status < 3`,
	qSetState: `UPDATE runs SET owner = ?2, fence = ?3, wake_at = ?4, paused = ?5, pause_reason = ?6, cancel_requested = ?7,
		cancel_reason = ?8, blocked = CASE WHEN ?9 THEN blocked END WHERE no = ?1 AND status < 3`,
	qSetDue:     `UPDATE runs SET wake_at = ?2 WHERE no = ?1 AND status < 3 AND owner = 0`,
	qSetCrashes: `UPDATE runs SET crashes = ?2, crash_mark = ?3 WHERE no = ?1`,

	qInsertMessage: `INSERT INTO inbox (run_no, kind, arrived_at, name, key, operation, status, error, payload)
		VALUES (?,?,?,?,?,?,?,?,?)`,
	qMessages:      `SELECT ` + messageColumns + ` FROM inbox WHERE run_no = ? ORDER BY number`,
	qNewerMessages: `SELECT ` + messageColumns + ` FROM inbox WHERE run_no = ? AND number > ? ORDER BY number`,
	qCountMessages: `SELECT COUNT(*) FROM inbox WHERE run_no = ? AND number <= ?`,
	qConsume:       `DELETE FROM inbox WHERE number = ? AND run_no = ? AND kind != 3`,
	qMoveMessages:  `UPDATE inbox SET run_no = ? WHERE run_no = ? AND kind IN (1, 3, 5)`,
	qWithdrawPause: `DELETE FROM inbox WHERE run_no = ? AND kind = 4`,
	qFindKey:       `SELECT 1 FROM keys WHERE chain = ? AND key = ?`,
	qInsertKey:     `INSERT OR IGNORE INTO keys (chain, key) VALUES (?,?)`,
	qFindKept:      `SELECT name, key, payload, arrived_at FROM kept WHERE id = ? AND until > ? ORDER BY number`,
	qFindKeptKey:   `SELECT 1 FROM kept WHERE id = ? AND key = ? AND until > ?`,
	qInsertKept:    `INSERT INTO kept (id, until, arrived_at, name, key, payload) VALUES (?,?,?,?,?,?)`,
	qDropKept:      `DELETE FROM kept WHERE id = ?`,
	qExpireKept:    `DELETE FROM kept WHERE until <= ?`,
	qExpireOwn:     `DELETE FROM kept WHERE id = ? AND until <= ?`,
	qFindExpired:   `SELECT 1 FROM kept WHERE until <= ? LIMIT 1`,
	qArrivals: `SELECT r.no, r.fence, r.id, r.run_id, m.number, m.kind, m.arrived_at, m.name, m.key,
		m.operation, m.status, m.error, m.payload
		FROM inbox AS m CROSS JOIN runs AS r ON r.no = m.run_no
		WHERE m.number > ? AND r.owner = ? AND r.status < 3 ORDER BY m.number`,

	qLastMessage: `SELECT seq FROM sqlite_sequence WHERE name = 'inbox'`,

	qInsertWorker: `INSERT INTO workers (joined_at, info) VALUES (?,?)`,
	qSetLock:      `UPDATE workers SET info = json_patch(info, ?2) WHERE no = ?1`,
	qFindWorker:   `SELECT beat FROM workers WHERE no = ?`,
	qBeat:         `UPDATE workers SET beat = beat + 1 WHERE no = ?`,
	qDeleteWorker: `DELETE FROM workers WHERE no = ?`,
	qWorkers:      `SELECT no, beat, joined_at, info FROM workers ORDER BY no`,
	// Whether a run got further since it crashed before is judged when it is claimed, see rules.Judge: its operations
	// are read then, and everybody else who writes waits for this.
	qFree: `UPDATE runs SET owner = 0, fence = fence + 1, wake_at = CASE paused WHEN 0 THEN ?2 END, crashes = crashes + ?3
		WHERE status < 3 AND owner = ?1`,
	qUnblock: `UPDATE runs INDEXED BY runs_blocked SET wake_at = ?3 WHERE blocked IS NOT NULL AND status < 3 AND owner = 0
		AND mode = 0 AND paused = 0 AND name IN (SELECT value FROM json_each(?1)) AND ` + blockedVersion + ` != ?2`,

	qDue: `SELECT no, wake_at FROM runs INDEXED BY runs_open
		WHERE status < 3 AND owner = 0 AND name = ? AND wake_at != 0 AND wake_at <= ? ORDER BY wake_at LIMIT ?`,
	qDueAtOnce: `SELECT no, wake_at FROM runs INDEXED BY runs_open
		WHERE status < 3 AND owner = 0 AND name = ? AND wake_at = 0 LIMIT ?`,
	qNextWake: `SELECT MIN(wake_at) FROM runs INDEXED BY runs_open
		WHERE status < 3 AND owner = 0 AND name = ? AND wake_at IS NOT NULL`,
	// The definitions that workers of other versions serve, with the worker's own version; none while nothing is
	// blocked, which is nearly always, and then no worker is looked at.
	qRivals: `SELECT DISTINCT name.value, COALESCE(json_extract(own.info, '$.version'), '')
		FROM (` + readableWorkers + `) AS own CROSS JOIN (` + readableWorkers + `) AS other
		CROSS JOIN json_each(other.info, '$.names') AS name
		WHERE EXISTS (SELECT 1 FROM runs INDEXED BY runs_blocked WHERE blocked IS NOT NULL) AND own.no = ?1
		AND COALESCE(json_extract(own.info, '$.version'), '') != COALESCE(json_extract(other.info, '$.version'), '')
		AND name.type = 'text'`,
	// Like the three above, without what the worker's version has blocked.
	qDueBeside: `SELECT no, wake_at FROM runs INDEXED BY runs_open
		WHERE status < 3 AND owner = 0 AND name = ?1 AND wake_at != 0 AND wake_at <= ?2
		AND ` + notBlockedBy + `?4) ORDER BY wake_at LIMIT ?3`,
	qDueAtOnceBeside: `SELECT no, wake_at FROM runs INDEXED BY runs_open
		WHERE status < 3 AND owner = 0 AND name = ?1 AND wake_at = 0 AND ` + notBlockedBy + `?3) LIMIT ?2`,
	qNextWakeBeside: `SELECT wake_at FROM runs INDEXED BY runs_open
		WHERE status < 3 AND owner = 0 AND name = ?1 AND wake_at IS NOT NULL
		AND ` + notBlockedBy + `?2) ORDER BY wake_at LIMIT 1`,
	qClaim: `UPDATE runs SET owner = ?, fence = fence + 1, wake_at = NULL WHERE no = ? AND fence = ?`,
	qFreeDoubtful: `UPDATE runs SET owner = 0, fence = fence + 1, wake_at = CASE paused WHEN 0 THEN ?4 END
		WHERE no = ?1 AND owner = ?2 AND fence = ?3 AND status < 3`,

	qBatch: `INSERT INTO writers (token, batch, written_at) VALUES (?,?,?) ON CONFLICT (token)
		DO UPDATE SET batch = excluded.batch, written_at = excluded.written_at`,
	qFindBatch:     `SELECT 1 FROM writers WHERE token = ? AND batch = ?`,
	qForgetWriters: `DELETE FROM writers WHERE written_at < ?`,
	qForgetWriter:  `DELETE FROM writers WHERE token = ?`,

	qList: `SELECT ` + listColumns + ` FROM runs AS r WHERE ?1 IS NULL AND ?2 IS NULL` + listWhere,
	qListPrefix: `SELECT ` + listColumns + ` FROM runs AS r INDEXED BY runs_id
		WHERE id >= ?1 AND (?2 IS NULL OR id < ?2)` + listWhere,

	qCounts: `SELECT status, COUNT(*) FROM (SELECT status FROM runs AS r WHERE ?1 IS NULL AND ?2 IS NULL` + listWhere + `)
		GROUP BY status`,
	qCountsPrefix: `SELECT status, COUNT(*) FROM (SELECT status FROM runs AS r INDEXED BY runs_id
		WHERE id >= ?1 AND (?2 IS NULL OR id < ?2)` + listWhere + `) GROUP BY status`,

	qPurgeable: `SELECT no, id, COALESCE(chain, no), (SELECT COUNT(*) FROM operations WHERE run_no = no)
		FROM runs WHERE status >= 3 AND id IS NOT NULL
		AND (?1 IS NULL OR scheduled_at + ended_after < ?1) ORDER BY no LIMIT ?2`,
	qPurgeableID: `SELECT no, id, COALESCE(chain, no), (SELECT COUNT(*) FROM operations WHERE run_no = no)
		FROM runs WHERE id = ?3 AND status >= 3
		AND (?1 IS NULL OR scheduled_at + ended_after < ?1) ORDER BY no LIMIT ?2`,
	qStillEnded:      `SELECT 1 FROM runs WHERE no = ? AND id = ? AND status >= 3`,
	qOpenOfID:        `SELECT 1 FROM runs WHERE id = ? AND status < 3`,
	qPurgeOperations: `DELETE FROM operations WHERE run_no = ?`,
	qPurgeMessages:   `DELETE FROM inbox WHERE run_no = ?`,
	qPurgeKeys: `DELETE FROM keys WHERE chain = ?1 AND NOT EXISTS (
		SELECT 1 FROM runs WHERE id = ?2 AND COALESCE(chain, no) = ?1)`,
	qPurgeRun:       `DELETE FROM runs WHERE no = ?`,
	qLastRun:        `SELECT MAX(no) FROM runs`,
	qTombstone:      `INSERT INTO runs (no, status, mode, fence, owner, scheduled_at) VALUES (?,7,0,0,0,0)`,
	qDropTombstones: `DELETE FROM runs WHERE id IS NULL AND no < ?`,
}
