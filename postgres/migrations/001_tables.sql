-- Times are microseconds since 1970. Those that follow another time of the same row are kept as the difference to it; NULL is
-- the zero time. Statuses, kinds and modes are the numbers of the root package: a run is open below 3.
--
-- There are no foreign keys, triggers, functions or sequences, and no jsonb: numbers of runs and workers are made by who
-- inserts them (milliseconds since 2025, 22 random bits), and messages are numbered within their run.

CREATE TABLE workers (
  no bigint PRIMARY KEY,
  beat bigint NOT NULL DEFAULT 0,
  joined_at bigint NOT NULL,
  info text NOT NULL
);

-- What somebody writes with at a time. A batch holds the rows of its workers and of its process, and they are never updated:
-- who takes a worker's runs away deletes its rows first, and who wants to know what became of a batch waits for its row.
-- turn: written in the portable mode, which has no other lock.
CREATE TABLE lanes (
  worker bigint NOT NULL,
  lane integer NOT NULL,
  turn bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (worker, lane)
) WITH (fillfactor = 10);

-- That a batch was committed, or that it cannot be any more, however late it comes. Each lane has its last one.
CREATE TABLE witnesses (no bigint PRIMARY KEY);

-- owner: the worker's number, 0 for nobody, -1 for an open run that is driven by hand.
-- due_at: when nobody holds the run, from when on it may be claimed: NULL for never, 0 for at once. While a worker holds
--         it, NULL, or 0 when a person has resumed it meanwhile.
-- last_msg: the highest number that a message of the run has had. A run that continues another one counts on.
-- news: the holder has not been told of a message.
-- latest: the current run of the id.
-- chain: the number of the first run of a chain of continued runs.
-- crash_mark: how much was recorded when the run's holder died last.
-- batch: the number of the batch that has written the row last of those that look at nothing first.
-- blocked_by: the version of the code that blocked it; NULL for a run that is not blocked.
-- A row with status 0 is no run. It keeps the place of one for events that came before their start.
CREATE TABLE runs (
  no bigint PRIMARY KEY,
  due_at bigint,
  fence bigint NOT NULL,
  owner bigint NOT NULL,
  last_msg bigint NOT NULL DEFAULT 0,
  chain bigint NOT NULL,
  crash_mark bigint NOT NULL DEFAULT 0,
  batch bigint,
  scheduled_at bigint NOT NULL,
  started_after bigint,
  ended_after bigint,
  deadline_after bigint,
  crashes integer NOT NULL DEFAULT 0,
  status smallint NOT NULL,
  mode smallint NOT NULL,
  news boolean NOT NULL DEFAULT false,
  latest boolean NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  cancelled boolean NOT NULL DEFAULT false,
  id text COLLATE "C" NOT NULL,
  run_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  parent text,
  pause_reason text,
  cancel_reason text,
  tags text,
  blocked text,
  blocked_by text,
  orphans text,
  previous text,
  next text,
  error text,
  version text,
  input bytea,
  result bytea,
  progress bytea
  -- portable: , former bigint GENERATED ALWAYS AS (CASE WHEN latest THEN 0 ELSE no END) STORED
  -- portable: , CONSTRAINT runs_latest UNIQUE (id, former)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- One current run of an id; in the portable mode a column takes the place of the condition. Those before it are in an index of
-- their own, which most runs never come to.
CREATE UNIQUE INDEX runs_latest ON runs (id) INCLUDE (no) WHERE latest;
CREATE INDEX runs_former ON runs (id) INCLUDE (no) WHERE NOT latest;
CREATE INDEX runs_due ON runs (name, due_at, no) WHERE due_at IS NOT NULL AND owner = 0;
CREATE INDEX runs_held ON runs (owner) WHERE owner > 0;
CREATE INDEX runs_news ON runs (owner) WHERE news;
CREATE INDEX runs_blocked ON runs (name) WHERE blocked_by IS NOT NULL;
-- For lists.
CREATE INDEX runs_status ON runs (status, latest, no);
CREATE INDEX runs_name ON runs (name, latest, no);
CREATE INDEX runs_stopped ON runs (paused, no) WHERE blocked_by IS NOT NULL OR paused;
CREATE INDEX runs_scheduled ON runs (scheduled_at) INCLUDE (no);

-- rest: what few operations have.
CREATE TABLE operations (
  run_no bigint NOT NULL,
  number bigint NOT NULL,
  scheduled_at bigint,
  started_after bigint,
  ended_after bigint,
  attempts integer NOT NULL,
  kind smallint NOT NULL,
  status smallint NOT NULL,
  path text NOT NULL,
  name text,
  input bytea,
  result bytea,
  rest bytea,
  PRIMARY KEY (run_no, number)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE TABLE inbox (
  run_no bigint NOT NULL,
  number bigint NOT NULL,
  arrived_at bigint,
  operation bigint NOT NULL,
  kind smallint NOT NULL,
  status smallint NOT NULL,
  name text,
  key text,
  error text,
  payload bytea,
  PRIMARY KEY (run_no, number)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- The keys of raised events, of all runs of a chain. A key may be longer than an index takes.
CREATE TABLE keys (
  chain bigint NOT NULL,
  digest bytea NOT NULL,
  PRIMARY KEY (chain, digest)
);

-- Events that wait for a start.
CREATE TABLE kept (
  id text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  until bigint NOT NULL,
  arrived_at bigint,
  name text,
  key text,
  payload bytea,
  PRIMARY KEY (id, number)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE tags (
  no bigint NOT NULL,
  digest bytea NOT NULL,
  PRIMARY KEY (digest, no)
);

CREATE INDEX tags_run ON tags (no);
