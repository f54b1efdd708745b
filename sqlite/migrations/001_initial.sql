-- Times are microseconds since 1970. Those that follow another time of the same row are kept as the
-- difference, which takes a third of the bytes; NULL is the zero time.
-- Statuses, kinds and modes are the numbers of the root package: a run is open below 3.

-- The number of a run is never used again: purging the last row leaves a row without an id.
-- owner: the worker's number, 0 for nobody, -1 for a run that is driven by hand.
-- wake_at: when nobody holds the run, the moment from which on it may be claimed, NULL for never.
--          While a worker holds it, NULL, or the moment at which a person resumed it.
-- chain: the number of the first run of a chain of continued runs, NULL for the run itself.
-- crash_mark: how much was recorded when the run's holder died last.
CREATE TABLE runs (
  no INTEGER PRIMARY KEY,
  status INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  crash_mark INTEGER NOT NULL DEFAULT 0,
  wake_at INTEGER,
  scheduled_at INTEGER NOT NULL,
  started_after INTEGER,
  ended_after INTEGER,
  deadline_after INTEGER,
  chain INTEGER,
  id TEXT,
  run_id TEXT,
  name TEXT,
  tags TEXT,
  parent TEXT,
  blocked TEXT,
  orphans TEXT,
  previous TEXT,
  next TEXT,
  error TEXT,
  input BLOB,
  result BLOB,
  progress BLOB
);

CREATE INDEX runs_id ON runs(id);
CREATE INDEX runs_open ON runs(owner, name, wake_at) WHERE status < 3;
CREATE INDEX runs_blocked ON runs(name) WHERE blocked IS NOT NULL;

CREATE TABLE operations (
  run_no INTEGER NOT NULL,
  number INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  status INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  scheduled_at INTEGER,
  started_after INTEGER,
  ended_after INTEGER,
  due_after INTEGER,
  expires_after INTEGER,
  path TEXT NOT NULL,
  name TEXT,
  target TEXT,
  error TEXT,
  input BLOB,
  result BLOB,
  details BLOB,
  PRIMARY KEY (run_no, number)
) WITHOUT ROWID;

-- Numbers grow with the order of commits and are never used again, so that "above the last one seen"
-- means "newer".
CREATE TABLE inbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  run_no INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  arrived_at INTEGER,
  name TEXT,
  key TEXT,
  operation INTEGER,
  status INTEGER,
  error TEXT,
  payload BLOB
);

CREATE INDEX inbox_run ON inbox(run_no);

-- The keys of raised events, of all runs of a chain.
CREATE TABLE keys (
  chain INTEGER NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (chain, key)
) WITHOUT ROWID;

-- Events that wait for a start.
CREATE TABLE kept (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  until INTEGER NOT NULL,
  arrived_at INTEGER,
  name TEXT,
  key TEXT,
  payload BLOB
);

CREATE INDEX kept_id ON kept(id);
CREATE INDEX kept_until ON kept(until);

CREATE TABLE workers (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  beat INTEGER NOT NULL DEFAULT 0,
  joined_at INTEGER NOT NULL,
  info TEXT NOT NULL
);

-- The last transaction of each process, by which one learns what became of a COMMIT that failed.
CREATE TABLE writers (
  token INTEGER PRIMARY KEY,
  batch INTEGER NOT NULL,
  written_at INTEGER NOT NULL
);

PRAGMA application_id = 0x4c42697a;
PRAGMA user_version = 1;
