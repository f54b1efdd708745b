package postgres

import "strings"

// query names a statement.
type query int

const (
	qBegin query = iota
	qCommit
	qBeginSnapshot
	qSettings
	qLanes
	qInsertLane
	qInsertWitness
	qDeleteWitness
	qPutWitnesses
	qFindWitness
	qFindWitnesses
	qFenceHands

	qFindRuns
	qFindParents
	qFindHolders
	qLockRuns
	qFindKeys
	qFindKept
	qNewer

	qUpdateRuns
	qInsertRuns
	qDeletePlaces
	qConsume
	qWithdraw
	qMove
	qInsertMessages
	qInsertKeys
	qDropKept
	qExpireKept
	qInsertKept
	qInsertTags
	qWriteOperations

	qQuickLane
	qQuickRuns
	qQuickStarts
	qQuickTags
	qQuickConsume
	qQuickAdd
	qQuickReplace
	qQuickHeld
	qQuickFindRuns
	qQuickFindOperations

	qJoin
	qJoinLanes
	qRenew
	qFindWorker
	qLockWorker
	qDeleteWorker
	qDeleteLanes
	qWorkers
	qNextWorkers
	qOrphans
	qLockFree
	qLockHeld
	qOwns
	qFree
	qLockBlocked
	qUnblock
	qOtherWorkers

	qWork
	qNews
	qTold
	qNextWake
	qDue
	qRuns
	qOperations
	qMessages
	qSetAside

	qLoadLatest
	qLoadRun
	qInfoLatest
	qInfoRun
	qLatestNumber
	qEnded

	qList
	qCounts
	qListStatus
	qListName
	qListStopped
	qListTag
	qListNumbers
	qFindPrefix
	qFindScheduled
	qHasOpen
	qPurgeable
	qPurgeableID
	qLockEnded
	qPurgeOperations
	qPurgeMessages
	qPurgeTags
	qPurgeRuns
	qPurgeKeys
	qPromote
	qKeepPlaces
	qExpireAllKept
	qLockPlaces
	qForgetPlaces
	qForgetWitnesses
	qForgetLanes

	qNotify

	qStepSettings
	qShareRun
	qWriteStep
	qLockRun
	qStepEnded

	qFindLatest
	qTakeLatest
	qTakePlace
	qStartRun
	qStartTag
	qTakeKept
	qStartMessage
	qStartKey
	qKnowsKey
	qSendMail
	qNotifyAll
	qLockMail
	qHasMail
	qForgetMail
	qPutOffMail

	queryCount
)

const (
	infoColumns = `no, due_at, fence, owner, last_msg, chain, crash_mark, scheduled_at, started_after, ended_after,
		deadline_after, crashes, status, mode, news, latest, paused, cancelled, id, run_id, name, parent, pause_reason,
		cancel_reason, tags, blocked, orphans, previous, next, error, version`
	runColumns       = infoColumns + `, input, result, progress`
	listColumns      = infoColumns + `, NULL::bytea, NULL::bytea, NULL::bytea`
	operationColumns = `run_no, number, scheduled_at, started_after, ended_after, attempts, kind, status, path, name, input, result, rest`
	operationArrays  = `$1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::smallint[],
		$8::smallint[], $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::bytea[]`
	quickArrays = `$4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::integer[], $10::smallint[],
		$11::smallint[], $12::text[], $13::text[], $14::bytea[], $15::bytea[], $16::bytea[]`
	replaceOperation = ` ON CONFLICT (run_no, number) DO UPDATE SET scheduled_at = excluded.scheduled_at,
		started_after = excluded.started_after, ended_after = excluded.ended_after, attempts = excluded.attempts,
		kind = excluded.kind, status = excluded.status, path = excluded.path, name = excluded.name, input = excluded.input,
		result = excluded.result, rest = excluded.rest`
	// laneHeld: a quick commit has its lane. guarded: a run is as it must be for the commit's other rows to be written: with
	// 0 for a guard the batch has written the run's row, else the run is open under that fence.
	laneHeld        = `EXISTS (SELECT 1 FROM @lanes WHERE worker = $1 AND lane = $2)`
	guarded         = `(u.guard = 0 AND r.batch = $3 OR u.guard <> 0 AND r.fence = u.guard AND r.status < 3) AND ` + laneHeld
	quickOperations = `INSERT INTO @operations (` + operationColumns + `) SELECT u.run_no, u.number, u.scheduled_at, u.started_after,
		u.ended_after, u.attempts, u.kind, u.status, u.path, u.name, u.input, u.result, u.rest
		FROM unnest(` + quickArrays + `, $17::bigint[]) AS u(` + operationColumns + `, guard) JOIN @runs AS r ON r.no = ANY(ARRAY[u.run_no])
		WHERE ` + guarded
	messageColumns = `number, arrived_at, operation, kind, status, name, key, error, payload`
	// listFilter is what all lists ask of a run. Optional conditions are switched by their parameter.
	listFilter = `status <> 0 AND ($2::text IS NULL OR id >= $2) AND ($3::text IS NULL OR id < $3)
		AND ($4::bigint = 0 OR (1::bigint << status) & $4 <> 0)
		AND ($5::text IS NULL OR name = $5)
		AND NOT EXISTS (SELECT 1 FROM unnest($6::bytea[]) AS want(digest)
			WHERE NOT EXISTS (SELECT 1 FROM @tags AS t WHERE t.digest = want.digest AND t.no = r.no))
		AND (NOT $7::boolean OR blocked_by IS NOT NULL) AND (NOT $8::boolean OR paused)
		AND ($9::bigint IS NULL OR scheduled_at >= $9) AND ($10::bigint IS NULL OR scheduled_at < $10)
		AND ($11::boolean OR latest)`
	// due is what a worker may claim of a definition: n.beside says that another version serves it, too, which gets what
	// the worker's own version, $3, has blocked.
	due = `FROM @runs WHERE name = n.name AND owner = 0 AND due_at IS NOT NULL AND status < 3 AND mode = 0
		AND NOT (n.beside AND blocked_by IS NOT NULL AND blocked_by = $3)`
)

// statements have @ before the name of each table, where the schema comes.
var statements = [queryCount]string{
	qBegin:         `BEGIN ISOLATION LEVEL READ COMMITTED`,
	qBeginSnapshot: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`,
	qCommit:        `COMMIT`,
	// A plan that was made while the table was small stays, and would read all of a large one. Where a statement joins a table
	// with what it was sent, it says "= ANY(ARRAY[u.no])" and not "= u.no": for the former there is no way but to begin with what
	// was sent and to look each row up. For the latter the server may begin with the table, by an index that has nothing to do
	// with it, and compare each row with each that was sent. For the same reason what is asked of the row besides is said in a
	// way that no index has: "status + 0 < 3". A small table that has to be read as a whole looks so costly with these settings
	// that the server would compile the statement (jit).
	qSettings: `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
		set_config('enable_mergejoin', 'off', true), set_config('enable_bitmapscan', 'off', true),
		set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true), set_config('lock_timeout', $1, true),
		set_config('idle_in_transaction_session_timeout', $2, true)`,
	qLanes: `SELECT worker, lane FROM @lanes WHERE worker = ANY($1::bigint[] || $3::bigint[])
		AND (lane = $2 OR worker = ANY($3::bigint[])) ORDER BY worker, lane FOR UPDATE`,
	qInsertLane:    `INSERT INTO @lanes (worker, lane) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
	qInsertWitness: `INSERT INTO @witnesses (no) VALUES ($1)`,
	qDeleteWitness: `DELETE FROM @witnesses WHERE no = $1`,
	// In the place of those that have not come. One that is there, or is just coming, stays.
	qPutWitnesses:  `INSERT INTO @witnesses (no) SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING`,
	qFindWitness:   `SELECT 1 FROM @witnesses WHERE no = $1`,
	qFindWitnesses: `SELECT no FROM @witnesses WHERE no = ANY($1::bigint[])`,
	// Who drives a run by hand has a fence, and no worker.
	qFenceHands: `UPDATE @runs SET fence = fence + 1 WHERE owner < 0 AND status < 3`,

	// For an id the latest run, or the place that is kept for it; for an id and a run id that run.
	qFindRuns: `SELECT u.at, r.no FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(id, run_id, at) CROSS JOIN LATERAL (
		SELECT no FROM @runs WHERE latest AND id = u.id AND u.run_id IN ('', run_id)
		UNION ALL
		SELECT no FROM @runs WHERE NOT latest AND id = u.id AND u.run_id <> '' AND run_id = u.run_id) AS r`,
	qFindParents: `SELECT parent FROM @runs WHERE no = ANY($1::bigint[]) AND parent IS NOT NULL`,
	// Whoever holds what is to be terminated.
	qFindHolders: `SELECT owner FROM @runs WHERE no = ANY($1::bigint[])`,
	qLockRuns:    `SELECT ` + listColumns + ` FROM @runs WHERE no = ANY($1::bigint[]) ORDER BY no FOR NO KEY UPDATE`,
	qFindKeys: `SELECT u.at FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS u(chain, digest, at)
		JOIN @keys AS k ON k.chain = ANY(ARRAY[u.chain]) AND k.digest = u.digest`,
	qFindKept: `SELECT id, until, ` + `number, arrived_at, 0::bigint, 1::smallint, 0::smallint, name, key, NULL::text, payload
		FROM @kept WHERE id = ANY($1::text[]) ORDER BY id, number`,
	qNewer: `SELECT u.no, ` + messageColumns + ` FROM unnest($1::bigint[], $2::bigint[]) AS u(no, seen)
		JOIN @inbox ON run_no = ANY(ARRAY[u.no]) AND number > u.seen ORDER BY u.no, number`,

	qUpdateRuns: `UPDATE @runs AS r SET due_at = u.due_at, fence = u.fence, owner = u.owner, last_msg = u.last_msg,
		crash_mark = u.crash_mark, started_after = u.started_after, ended_after = u.ended_after, crashes = u.crashes,
		status = u.status, news = u.news, latest = u.latest, paused = u.paused, cancelled = u.cancelled,
		pause_reason = u.pause_reason, cancel_reason = u.cancel_reason, blocked = u.blocked, blocked_by = u.blocked_by,
		orphans = u.orphans, next = u.next, error = u.error, version = u.version,
		result = COALESCE(u.result, r.result), progress = COALESCE(u.progress, r.progress)
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
		$8::bigint[], $9::integer[], $10::smallint[], $11::boolean[], $12::boolean[], $13::boolean[], $14::boolean[],
		$15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
		$23::bytea[], $24::bytea[])
		AS u(no, due_at, fence, owner, last_msg, crash_mark, started_after, ended_after, crashes, status, news, latest, paused,
		cancelled, pause_reason, cancel_reason, blocked, blocked_by, orphans, next, error, version, result, progress)
		WHERE r.no = ANY(ARRAY[u.no])`,
	// Another process may have taken the id meanwhile.
	qInsertRuns: `INSERT INTO @runs (no, due_at, fence, owner, last_msg, crash_mark, started_after, ended_after, crashes, status,
		news, latest, paused, cancelled, pause_reason, cancel_reason, blocked, blocked_by, orphans, next, error, version,
		result, progress, chain, scheduled_at, deadline_after, mode, id, run_id, name, parent, tags, previous, input)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
		$8::bigint[], $9::integer[], $10::smallint[], $11::boolean[], $12::boolean[], $13::boolean[], $14::boolean[],
		$15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
		$23::bytea[], $24::bytea[], $25::bigint[], $26::bigint[], $27::bigint[], $28::smallint[], $29::text[], $30::text[],
		$31::text[], $32::text[], $33::text[], $34::text[], $35::bytea[])
		ON CONFLICT (id) WHERE latest DO NOTHING`,
	qDeletePlaces: `DELETE FROM @runs WHERE no = ANY($1::bigint[]) AND status = 0`,
	qConsume: `DELETE FROM @inbox AS i USING unnest($1::bigint[], $2::bigint[]) AS u(run_no, number)
		WHERE i.run_no = ANY(ARRAY[u.run_no]) AND i.number = u.number AND i.kind <> ALL($3::smallint[])`,
	qWithdraw: `DELETE FROM @inbox WHERE run_no = ANY($1::bigint[]) AND kind = $2`,
	qMove: `UPDATE @inbox AS i SET run_no = u.later FROM unnest($1::bigint[], $2::bigint[]) AS u(former, later)
		WHERE i.run_no = ANY(ARRAY[u.former]) AND i.kind = ANY($3::smallint[])`,
	qInsertMessages: `INSERT INTO @inbox (run_no, number, arrived_at, operation, kind, status, name, key, error, payload)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::smallint[],
		$7::text[], $8::text[], $9::text[], $10::bytea[])`,
	qInsertKeys: `INSERT INTO @keys (chain, digest) SELECT * FROM unnest($1::bigint[], $2::bytea[]) ON CONFLICT DO NOTHING`,
	qDropKept:   `DELETE FROM @kept WHERE id = ANY($1::text[])`,
	qExpireKept: `DELETE FROM @kept AS k USING unnest($1::text[], $2::bigint[]) AS u(id, now)
		WHERE k.id = u.id AND k.until <= u.now`,
	qInsertKept: `INSERT INTO @kept (id, number, until, arrived_at, name, key, payload) SELECT * FROM unnest($1::text[],
		$2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])`,
	qInsertTags: `INSERT INTO @tags (no, digest) SELECT * FROM unnest($1::bigint[], $2::bytea[])`,
	qWriteOperations: `INSERT INTO @operations (` + operationColumns + `) SELECT ` + operationColumns + `
		FROM unnest(` + operationArrays + `) AS u(` + operationColumns + `)` + replaceOperation,

	// In a commit that looks at nothing first, all statements ask for the lane: their first parameters are its owner and its
	// number, and then the number of the batch where that is asked for.
	qQuickLane: `SELECT 1 FROM @lanes WHERE worker = $1 AND lane = $2 FOR UPDATE`,
	// kind is 0 for a run that goes on, 1 for one that is given back, 2 for one that ends. What rules.Started, rules.Release
	// and rules.Close say. The conditions are on the row itself: a statement that waits for its lock looks at the row again,
	// but not at other tables.
	qQuickRuns: `UPDATE @runs AS r SET batch = $3,
		fence = CASE WHEN u.kind = 1 THEN r.fence + 1 ELSE r.fence END,
		owner = CASE WHEN u.kind = 0 THEN r.owner ELSE 0 END,
		status = CASE WHEN u.kind = 2 THEN u.status WHEN u.started IS NOT NULL AND r.status = 1 THEN 2 ELSE r.status END,
		started_after = CASE WHEN u.started IS NOT NULL AND r.status = 1 THEN u.started - r.scheduled_at ELSE r.started_after END,
		ended_after = CASE WHEN u.kind = 2 THEN u.ended - r.scheduled_at ELSE r.ended_after END,
		due_at = CASE WHEN u.kind = 0 THEN r.due_at WHEN u.kind = 2 OR r.paused THEN NULL WHEN r.due_at = 0 THEN 0 ELSE u.due END,
		news = r.news AND u.kind = 0,
		paused = r.paused AND u.kind <> 2,
		pause_reason = CASE WHEN u.kind = 2 THEN NULL ELSE r.pause_reason END,
		blocked = CASE WHEN u.kind = 0 THEN r.blocked ELSE u.blocked END,
		blocked_by = CASE WHEN u.kind = 0 THEN r.blocked_by ELSE u.blocked_by END,
		crashes = CASE WHEN u.kind = 1 THEN 0 ELSE r.crashes END,
		crash_mark = CASE WHEN u.kind = 1 THEN 0 ELSE r.crash_mark END,
		orphans = COALESCE(u.orphans, r.orphans), error = COALESCE(u.error, r.error), version = COALESCE(u.version, r.version),
		result = COALESCE(u.result, r.result), progress = COALESCE(u.progress, r.progress)
		FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[], $8::smallint[], $9::bigint[], $10::bigint[],
		$11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bytea[], $18::bytea[])
		AS u(no, fence, seen, kind, status, started, ended, due, blocked, blocked_by, orphans, error, version, result, progress)
		WHERE r.no = ANY(ARRAY[u.no]) AND r.fence = u.fence AND r.owner = $1 AND r.status + 0 < 3
		AND r.last_msg <= u.seen AND ` + laneHeld + `
		RETURNING r.no, u.kind = 1 AND r.due_at IS NOT NULL`,
	// The rest of a new run's columns are what they are by default.
	qQuickStarts: `INSERT INTO @runs (no, due_at, fence, owner, chain, scheduled_at, started_after, deadline_after, status, mode,
		latest, id, run_id, name, tags, input)
		SELECT no, due_at, fence, owner, no, scheduled_at, started_after, deadline_after, status, mode, true, id, run_id, name, tags, input
		FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::smallint[],
		$11::smallint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bytea[])
		AS u(no, due_at, fence, owner, scheduled_at, started_after, deadline_after, status, mode, id, run_id, name, tags, input)
		WHERE ` + laneHeld + ` ON CONFLICT (id) WHERE latest DO NOTHING RETURNING no`,
	qQuickTags: `INSERT INTO @tags (no, digest) SELECT u.no, u.digest FROM unnest($3::bigint[], $4::bytea[]) AS u(no, digest)
		JOIN @runs AS r ON r.no = ANY(ARRAY[u.no]) WHERE ` + laneHeld,
	qQuickConsume: `DELETE FROM @inbox AS i USING unnest($4::bigint[], $5::bigint[], $6::bigint[])
		AS u(run_no, number, guard), @runs AS r
		WHERE i.run_no = ANY(ARRAY[u.run_no]) AND i.number = u.number AND i.kind <> ALL($7::smallint[])
		AND r.no = ANY(ARRAY[u.run_no]) AND ` + guarded,
	qQuickAdd:     quickOperations + ` RETURNING run_no`,
	qQuickReplace: quickOperations + replaceOperation + ` RETURNING run_no`,
	qQuickHeld: `SELECT r.no FROM unnest($4::bigint[], $5::bigint[]) AS u(no, guard) JOIN @runs AS r ON r.no = ANY(ARRAY[u.no])
		WHERE ` + guarded,
	qQuickFindRuns: `SELECT no, COALESCE(batch, 0) FROM @runs WHERE no = ANY($1::bigint[])`,
	qQuickFindOperations: `SELECT u.run_no FROM unnest(` + operationArrays + `) AS u(` + operationColumns + `)
		JOIN @operations AS o ON o.run_no = ANY(ARRAY[u.run_no]) AND o.number = u.number
		WHERE (o.scheduled_at, o.started_after, o.ended_after, o.attempts, o.kind, o.status, o.path, o.name, o.input, o.result, o.rest)
		IS NOT DISTINCT FROM (u.scheduled_at, u.started_after, u.ended_after, u.attempts, u.kind, u.status, u.path, u.name, u.input,
		u.result, u.rest)`,

	qJoin:         `INSERT INTO @workers (no, joined_at, info) VALUES ($1, $2, $3)`,
	qJoinLanes:    `INSERT INTO @lanes (worker, lane) SELECT $1, generate_series(0, $2)`,
	qRenew:        `UPDATE @workers SET beat = beat + 1 WHERE no = $1`,
	qFindWorker:   `SELECT EXISTS (SELECT 1 FROM @mail WHERE due_at <= $2) FROM @workers WHERE no = $1`,
	qLockWorker:   `SELECT beat FROM @workers WHERE no = $1 FOR UPDATE`,
	qDeleteWorker: `DELETE FROM @workers WHERE no = $1`,
	qDeleteLanes:  `DELETE FROM @lanes WHERE worker = $1`,
	qWorkers:      `SELECT no, beat, joined_at, info FROM @workers ORDER BY no`,
	qNextWorkers: `(SELECT no, beat, joined_at, info FROM @workers WHERE no > $1 ORDER BY no LIMIT $2)
		UNION ALL (SELECT no, beat, joined_at, info FROM @workers WHERE no < $1 ORDER BY no LIMIT $2)`,
	// Each owner by one step in the index, however many runs it has.
	qOrphans: `WITH RECURSIVE owners AS (SELECT min(owner) AS no FROM @runs WHERE owner > 0 UNION ALL
		SELECT (SELECT min(r.owner) FROM @runs AS r WHERE r.owner > 0 AND r.owner > owners.no) FROM owners WHERE owners.no IS NOT NULL)
		SELECT no FROM owners WHERE no IS NOT NULL AND NOT EXISTS (SELECT 1 FROM @workers AS w WHERE w.no = owners.no)`,
	qLockFree: `SELECT no FROM @runs WHERE owner = $1 AND owner > 0 AND status < 3 LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED`,
	qLockHeld: `SELECT no FROM @runs WHERE no = ANY(ARRAY(SELECT no FROM @runs WHERE owner = $1 AND owner > 0 LIMIT $2))
		AND owner = $1 AND status < 3 ORDER BY no FOR NO KEY UPDATE`,
	qOwns: `SELECT 1 FROM @runs WHERE owner = $1 AND owner > 0 AND status < 3 LIMIT 1`,
	// What rules.Crashed says, or with no crash rules.Taken. Whether a run got further since it crashed before is judged when
	// it is claimed.
	qFree: `UPDATE @runs SET owner = 0, fence = fence + 1, news = false, crashes = crashes + $3::integer,
		due_at = CASE WHEN paused THEN NULL ELSE 0 END WHERE no = ANY($1::bigint[]) AND owner = $2 AND status < 3`,
	qLockBlocked: `SELECT no FROM @runs WHERE name = ANY($1::text[]) AND blocked_by IS NOT NULL AND blocked_by <> $2
		AND status < 3 AND owner = 0 AND mode = 0 AND NOT paused ORDER BY no FOR NO KEY UPDATE`,
	// What rules.Unblocks says of those.
	qUnblock: `UPDATE @runs SET due_at = 0 WHERE no = ANY($1::bigint[])`,
	// Nothing while nothing is blocked, which is nearly always.
	qOtherWorkers: `SELECT no, info FROM @workers WHERE EXISTS (SELECT 1 FROM @runs WHERE blocked_by IS NOT NULL)`,

	// What the worker may leave to others counts, too.
	qWork: `SELECT EXISTS (SELECT 1 FROM @runs WHERE owner = $1 AND news) OR EXISTS (SELECT 1 FROM @mail WHERE due_at <= $3) OR EXISTS (
		SELECT 1 FROM unnest($2::text[]) AS n(name) CROSS JOIN LATERAL (SELECT 1 FROM @runs WHERE name = n.name AND owner = 0
		AND due_at IS NOT NULL AND due_at <= $3 AND status < 3 AND mode = 0 LIMIT 1) AS d)`,
	qNews: `SELECT no, last_msg, fence, id, run_id FROM @runs WHERE owner = $1 AND news AND status + 0 < 3
		UNION ALL SELECT no, last_msg, fence, id, run_id FROM @runs WHERE $2::boolean AND owner = $1 AND owner > 0 AND NOT news
		AND status + 0 < 3`,
	qTold: `UPDATE @runs AS r SET news = false FROM (SELECT u.no, u.last_msg FROM unnest($1::bigint[], $2::bigint[]) AS u(no, last_msg)
		CROSS JOIN LATERAL (SELECT 1 FROM @runs WHERE no = ANY(ARRAY[u.no]) FOR NO KEY UPDATE SKIP LOCKED) AS free) AS u
		WHERE r.no = ANY(ARRAY[u.no]) AND r.owner = $3 AND r.news IS NOT FALSE AND r.last_msg = u.last_msg`,
	qNextWake: `SELECT min(d.due_at) FROM unnest($1::text[], $2::boolean[]) AS n(name, beside) CROSS JOIN LATERAL (
		SELECT due_at ` + due + ` ORDER BY due_at, no LIMIT 1) AS d`,
	qDue: `SELECT d.no, d.due_at FROM unnest($1::text[], $2::boolean[]) AS n(name, beside) CROSS JOIN LATERAL (
		SELECT later.no, later.due_at FROM (SELECT no, due_at ` + due + ` AND due_at > 0 AND due_at <= $4 ORDER BY due_at, no LIMIT $5
			FOR NO KEY UPDATE SKIP LOCKED) AS later
		UNION ALL
		SELECT early.no, early.due_at FROM (SELECT no, due_at ` + due + ` AND due_at < 0 ORDER BY due_at, no LIMIT $5
			FOR NO KEY UPDATE SKIP LOCKED) AS early
		UNION ALL
		SELECT soon.no, soon.due_at FROM (SELECT no, due_at ` + due + ` AND due_at = 0 ORDER BY due_at, no LIMIT $5
			FOR NO KEY UPDATE SKIP LOCKED) AS soon) AS d`,
	qRuns:       `SELECT ` + runColumns + ` FROM @runs WHERE no = ANY($1::bigint[]) ORDER BY no`,
	qOperations: `SELECT ` + operationColumns + ` FROM @operations WHERE run_no = ANY($1::bigint[]) ORDER BY run_no, number`,
	qMessages:   `SELECT run_no, ` + messageColumns + ` FROM @inbox WHERE run_no = ANY($1::bigint[]) ORDER BY run_no, number`,
	// What rules.Claim and rules.Release make of a run that cannot be read.
	qSetAside: `UPDATE @runs SET owner = 0, fence = fence + 2, due_at = $2, blocked = $3, blocked_by = '', news = false,
		crashes = 0, crash_mark = 0 WHERE no = $1`,

	qLoadLatest: `SELECT ` + runColumns + ` FROM @runs WHERE id = $1 AND latest AND status <> 0`,
	qLoadRun: `SELECT ` + runColumns + ` FROM @runs WHERE latest AND id = $1 AND run_id = $2 AND status <> 0
		UNION ALL SELECT ` + runColumns + ` FROM @runs WHERE NOT latest AND id = $1 AND run_id = $2`,
	// An open run is the latest one of its id.
	qEnded: `SELECT u.at FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(id, run_id, at) WHERE NOT EXISTS (
		SELECT 1 FROM @runs AS r WHERE r.latest AND r.id = u.id AND r.run_id = u.run_id AND r.status IN (1, 2))`,
	qLatestNumber: `SELECT no FROM @runs WHERE id = $1 AND latest AND status <> 0`,

	// One for each index. Comparisons of rows, and an order, that only the index has: no other one will be taken.
	qList: `SELECT ` + listColumns + ` FROM @runs AS r WHERE no < $1 AND ` + listFilter + ` ORDER BY no DESC LIMIT $12`,
	qListStatus: `SELECT ` + listColumns + ` FROM unnest($13::smallint[], $14::boolean[]) AS k(state, current) CROSS JOIN LATERAL (
		SELECT ` + infoColumns + ` FROM @runs AS r WHERE (status, latest, no) >= (k.state, k.current, 0)
		AND (status, latest, no) < (k.state, k.current, $1) AND ` + listFilter + `
		ORDER BY status DESC, latest DESC, no DESC LIMIT $12) AS r ORDER BY no DESC LIMIT $12`,
	qListName: `SELECT ` + listColumns + ` FROM unnest($13::boolean[]) AS k(current) CROSS JOIN LATERAL (
		SELECT ` + infoColumns + ` FROM @runs AS r WHERE (name, latest, no) >= ($5, k.current, 0)
		AND (name, latest, no) < ($5, k.current, $1) AND ` + listFilter + `
		ORDER BY name DESC, latest DESC, no DESC LIMIT $12) AS r ORDER BY no DESC LIMIT $12`,
	qListStopped: `SELECT ` + listColumns + ` FROM unnest($13::boolean[]) AS k(asleep) CROSS JOIN LATERAL (
		SELECT ` + infoColumns + ` FROM @runs AS r WHERE (blocked_by IS NOT NULL OR paused) AND (paused, no) >= (k.asleep, 0)
		AND (paused, no) < (k.asleep, $1) AND ` + listFilter + `
		ORDER BY paused DESC, no DESC LIMIT $12) AS r ORDER BY no DESC LIMIT $12`,
	qListTag: `SELECT ` + listColumns + ` FROM (SELECT no AS tagged FROM @tags WHERE (digest, no) >= ($13::bytea, 0)
		AND (digest, no) < ($13::bytea, $1) ORDER BY digest DESC, no DESC) AS g
		CROSS JOIN LATERAL (SELECT ` + infoColumns + ` FROM @runs AS r WHERE no = g.tagged AND ` + listFilter + `) AS r LIMIT $12`,
	qListNumbers: `SELECT ` + listColumns + ` FROM @runs AS r WHERE no = ANY($13::bigint[]) AND no < $1 AND ` + listFilter + `
		ORDER BY no DESC LIMIT $12`,
	qFindPrefix: `SELECT no FROM @runs WHERE latest AND id >= $1 AND id < $2
		UNION ALL SELECT no FROM @runs WHERE $3::boolean AND NOT latest AND id >= $1 AND id < $2 LIMIT $4`,
	qFindScheduled: `SELECT no FROM @runs WHERE scheduled_at >= $1 AND scheduled_at < $2 LIMIT $3`,
	qCounts:        `SELECT status, count(*) FROM @runs AS r WHERE no < $1 AND ` + listFilter + ` GROUP BY status`,
	qHasOpen: `SELECT 1 FROM @runs WHERE id = $1 AND latest AND status IN (1, 2)
		UNION ALL SELECT 1 FROM @runs WHERE id = $1 AND NOT latest AND status IN (1, 2)`,
	qPurgeable: `SELECT no FROM @runs WHERE status >= 3
		AND ($1::bigint IS NULL OR scheduled_at + ended_after < $1) AND no > $2 ORDER BY no LIMIT $3`,
	qPurgeableID: `SELECT no FROM (SELECT no, ended_after + scheduled_at AS ended_at FROM @runs WHERE latest AND id = $4 AND status >= 3
		UNION ALL SELECT no, ended_after + scheduled_at FROM @runs WHERE NOT latest AND id = $4 AND status >= 3) AS r
		WHERE ($1::bigint IS NULL OR ended_at < $1) AND no > $2 ORDER BY no LIMIT $3`,
	qLockEnded:       `SELECT no, chain, id, latest FROM @runs WHERE no = ANY($1::bigint[]) AND status >= 3 ORDER BY no FOR UPDATE`,
	qPurgeOperations: `DELETE FROM @operations WHERE run_no = ANY($1::bigint[])`,
	qPurgeMessages:   `DELETE FROM @inbox WHERE run_no = ANY($1::bigint[])`,
	qPurgeTags:       `DELETE FROM @tags WHERE no = ANY($1::bigint[])`,
	qPurgeRuns:       `DELETE FROM @runs WHERE no = ANY($1::bigint[])`,
	// The keys of a chain go with its last run.
	qPurgeKeys: `DELETE FROM @keys WHERE chain IN (
		SELECT u.chain FROM unnest($1::bigint[], $2::text[]) AS u(chain, id) WHERE NOT EXISTS (
		SELECT 1 FROM @runs WHERE latest AND id = u.id AND chain = u.chain
		UNION ALL SELECT 1 FROM @runs WHERE NOT latest AND id = u.id AND chain = u.chain))`,
	qPromote: `UPDATE @runs SET latest = true WHERE no IN (
		SELECT (SELECT max(no) FROM @runs WHERE NOT latest AND id = u.id) FROM unnest($1::text[]) AS u(id))`,
	qKeepPlaces: `INSERT INTO @runs (no, fence, owner, chain, scheduled_at, status, mode, latest, id, run_id, name)
		SELECT u.no, 0, 0, u.no, 0, 0, 0, true, u.id, '', '' FROM unnest($1::bigint[], $2::text[]) AS u(no, id)
		WHERE EXISTS (SELECT 1 FROM @kept WHERE kept.id = u.id) ON CONFLICT (id) WHERE latest DO NOTHING`,
	qExpireAllKept: `DELETE FROM @kept WHERE until <= $1`,
	qLockPlaces: `SELECT no FROM @runs AS p WHERE status = 0 AND latest
		AND NOT EXISTS (SELECT 1 FROM @kept AS k WHERE k.id = p.id) ORDER BY no LIMIT 1000 FOR UPDATE SKIP LOCKED`,
	// Asked again by a statement that begins with the locks: one that began before may not see what somebody has kept.
	qForgetPlaces: `DELETE FROM @runs AS p WHERE no = ANY($1::bigint[])
		AND NOT EXISTS (SELECT 1 FROM @kept AS k WHERE k.id = p.id)`,
	qForgetWitnesses: `DELETE FROM @witnesses WHERE no < $1`,
	qForgetLanes:     `DELETE FROM @lanes WHERE worker < $1 AND NOT EXISTS (SELECT 1 FROM @workers AS w WHERE w.no = worker)`,

	qNotify: `SELECT pg_notify($1, $2) WHERE EXISTS (SELECT 1 FROM @workers WHERE no <> ALL($3::bigint[]))`,

	// Whether a step still has the transaction that it was given.
	qStepSettings: `SELECT COALESCE(current_setting('lambdabiz.step', true), '') = 'open', set_config('statement_timeout', '0', true)`,
	qShareRun:     `SELECT 1 FROM @runs WHERE no = $1 AND fence = $2 AND status < 3 FOR SHARE`,
	qWriteStep: `INSERT INTO @operations (run_no, number, scheduled_at, started_after, ended_after, attempts, kind, status,
		path, name, input, result, rest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (run_no, number) DO UPDATE SET scheduled_at = excluded.scheduled_at,
		started_after = excluded.started_after, ended_after = excluded.ended_after, attempts = excluded.attempts,
		kind = excluded.kind, status = excluded.status, path = excluded.path, name = excluded.name, input = excluded.input,
		result = excluded.result, rest = excluded.rest`,
	qLockRun: `SELECT 1 FROM @runs WHERE no = $1 AND fence = $2 AND status < 3 FOR NO KEY UPDATE`,
	// For the transactions of others: one row each, and no parameter that database/sql does not know.
	qFindLatest: `SELECT no, chain, status, mode, run_id, name FROM @runs WHERE id = $1 AND latest`,
	qTakeLatest: `UPDATE @runs SET latest = false WHERE no = $1 AND latest AND status >= 3 RETURNING no`,
	qTakePlace:  `DELETE FROM @runs WHERE no = $1 AND latest AND status = 0 RETURNING no`,
	qStartRun: `INSERT INTO @runs (no, due_at, fence, owner, last_msg, crash_mark, started_after, ended_after, crashes, status,
		news, latest, paused, cancelled, pause_reason, cancel_reason, blocked, blocked_by, orphans, next, error, version,
		result, progress, chain, scheduled_at, deadline_after, mode, id, run_id, name, parent, tags, previous, input)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
		$25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35) ON CONFLICT (id) WHERE latest DO NOTHING RETURNING no`,
	qStartTag: `INSERT INTO @tags (no, digest) VALUES ($1, $2) RETURNING no`,
	qTakeKept: `DELETE FROM @kept WHERE id = $1 AND number = (SELECT min(number) FROM @kept WHERE id = $1)
		RETURNING until, COALESCE(arrived_at, 0), name, key, payload`,
	qStartMessage: `INSERT INTO @inbox (run_no, number, arrived_at, operation, kind, status, name, key, error, payload)
		VALUES ($1, $2, $3, 0, $4, 0, $5, $6, NULL, $7) RETURNING number`,
	qStartKey: `INSERT INTO @keys (chain, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING chain`,
	qKnowsKey: `SELECT 1 FROM @keys WHERE chain = $1 AND digest = $2`,
	qSendMail: `INSERT INTO @mail (no, sent_at, until, after_end, id, name, key, payload, chain)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING no`,
	qNotifyAll: `SELECT pg_notify($1, '')::text`,

	// Whoever has the first row has those after it, so they are delivered in their order: behind one that is put off, those for
	// the same id wait, too.
	qLockMail: `SELECT no, sent_at, until, after_end, COALESCE(chain, 0), id, name, key, payload FROM @mail AS m WHERE due_at <= $1
		AND ($3::bigint = 0 OR no = $3) AND NOT EXISTS (SELECT 1 FROM @mail AS e WHERE e.id = m.id AND e.no < m.no AND e.due_at > $1)
		ORDER BY no LIMIT $2 FOR UPDATE`,
	qHasMail:    `SELECT 1 FROM @mail WHERE due_at <= $1 LIMIT 1`,
	qForgetMail: `DELETE FROM @mail WHERE no = ANY($1::bigint[])`,
	qPutOffMail: `UPDATE @mail SET due_at = $2 WHERE no = $1`,

	qStepEnded: `SELECT 1 FROM @operations WHERE run_no = $1 AND number = $2 AND status >= 3`,
}

// in returns the statements for a schema, whose name is quoted.
func (w *way) in(schema string) (all [queryCount]string) {
	r := strings.NewReplacer("@", schema+".")
	for q, s := range statements {
		if other, found := rewritten[query(q)]; found && w.portable {
			s = other
		}
		all[q] = r.Replace(s)
	}
	return all
}
