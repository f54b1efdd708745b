package sqlite

// The statements of a [Store]. Its tables stand beside those of a [Backend] and have a version of their
// own, so that a program that knows nothing of them works on the file as before.
//
// Times are microseconds since 1970, NULL for the zero time where a column may be NULL. Of a run and of
// an operation what nobody searches for is JSON; payloads are bytes.
const (
	storeVersion = 1

	storeFindSchema = `SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'store_schema'`
	storeGetVersion = `SELECT version FROM store_schema`

	storeSchema = `
CREATE TABLE store_schema (version INTEGER NOT NULL);
INSERT INTO store_schema VALUES (1);

CREATE TABLE store_runs (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL,
  version_start INTEGER NOT NULL,
  version_event INTEGER NOT NULL,
  scheduled_at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  name TEXT NOT NULL,
  blocked INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  tags TEXT,
  info TEXT NOT NULL,
  home TEXT NOT NULL,
  saved_at INTEGER,
  messages TEXT,
  input BLOB,
  result BLOB,
  progress BLOB
);
CREATE INDEX store_runs_start ON store_runs(scheduled_at, id);

CREATE TABLE store_operations (
  id TEXT NOT NULL,
  path TEXT NOT NULL,
  run_id TEXT NOT NULL,
  version_start INTEGER NOT NULL,
  version_event INTEGER NOT NULL,
  number INTEGER NOT NULL,
  body TEXT NOT NULL,
  input BLOB,
  result BLOB,
  details BLOB,
  PRIMARY KEY (id, path)
) WITHOUT ROWID;

CREATE TABLE store_kept (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  arrived_at INTEGER,
  until INTEGER NOT NULL,
  payload BLOB
);
CREATE UNIQUE INDEX store_kept_key ON store_kept(id, key);`

	storeOperationColumns = `number, body, input, result, details`
	storePutOperation     = `INSERT INTO store_operations (id, path, run_id, version_start, version_event, ` +
		storeOperationColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id, path) DO UPDATE SET run_id = excluded.run_id, version_start = excluded.version_start,
			version_event = excluded.version_event, number = excluded.number, body = excluded.body,
			input = excluded.input, result = excluded.result, details = excluded.details
		WHERE (store_operations.version_start, store_operations.version_event)
			< (excluded.version_start, excluded.version_event)`
	storeOperations = `SELECT ` + storeOperationColumns + ` FROM store_operations
		WHERE id = ? AND run_id = ? ORDER BY number`

	storePutRun = `INSERT INTO store_runs (id, run_id, version_start, version_event, scheduled_at, status, name,
			blocked, paused, tags, info, home, saved_at, messages, input, result, progress)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET run_id = excluded.run_id, version_start = excluded.version_start,
			version_event = excluded.version_event, scheduled_at = excluded.scheduled_at, status = excluded.status,
			name = excluded.name, blocked = excluded.blocked, paused = excluded.paused, tags = excluded.tags,
			info = excluded.info, home = excluded.home, saved_at = excluded.saved_at,
			messages = excluded.messages, input = excluded.input, result = excluded.result,
			progress = excluded.progress
		WHERE (store_runs.version_start, store_runs.version_event)
			< (excluded.version_start, excluded.version_event)`
	storeHead = `SELECT run_id, version_start, version_event FROM store_runs WHERE id = ?`
	storeRun  = `SELECT info, version_start, version_event, home, saved_at, messages, input, result, progress
		FROM store_runs WHERE id = ?`

	// Optional conditions are switched by their parameter, so that no filter changes the text.
	storeList = `SELECT info, scheduled_at, id FROM store_runs AS r
		WHERE (?1 IS NULL OR (scheduled_at, id) < (?1, ?2))
		AND (?3 = 0 OR (1 << status) & ?3 != 0)
		AND (?4 IS NULL OR name = ?4)
		AND (?5 IS NULL OR id >= ?5)
		AND (?6 IS NULL OR id < ?6)
		AND (?7 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?7) AS want WHERE NOT EXISTS (
			SELECT 1 FROM json_each(CASE WHEN json_valid(r.tags) THEN r.tags ELSE '{}' END) AS has
			WHERE has.key = want.key AND has.value = want.value)))
		AND (?8 = 0 OR (blocked = 1 AND status < 3))
		AND (?9 = 0 OR (paused = 1 AND status < 3))
		AND (?10 IS NULL OR scheduled_at >= ?10)
		AND (?11 IS NULL OR scheduled_at < ?11)
		ORDER BY scheduled_at DESC, id DESC LIMIT ?12`

	storeDropOld = `DELETE FROM store_kept WHERE id = ? AND key = ? AND until <= ?`
	storeKeep    = `INSERT INTO store_kept (id, key, name, arrived_at, until, payload) VALUES (?,?,?,?,?,?)
		ON CONFLICT (id, key) DO NOTHING`
	storeKept = `SELECT key, name, arrived_at, until, payload FROM store_kept
		WHERE id = ? AND until > ? ORDER BY number`
	storeDrop = `DELETE FROM store_kept WHERE id = ? AND key = ?`

	storeDeleteRun        = `DELETE FROM store_runs WHERE id = ? AND run_id = ?`
	storeDeleteOperations = `DELETE FROM store_operations WHERE id = ?`
)
