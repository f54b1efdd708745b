-- Events that were raised in transactions of the application's own, until somebody delivers them: such a transaction may go
-- on for long, and must not hold the row of a run meanwhile.
-- no: made by who raises, growing within a process. due_at: one that could not be delivered is put off until then.
-- chain: of the run that it was raised in; null if it was for a start to come.
CREATE TABLE mail (
  no bigint PRIMARY KEY,
  due_at bigint NOT NULL DEFAULT 0,
  chain bigint,
  sent_at bigint NOT NULL,
  until bigint,
  after_end boolean NOT NULL,
  id text COLLATE "C" NOT NULL,
  name text,
  key text,
  payload bytea
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX mail_id ON mail (id, no);
CREATE INDEX mail_due ON mail (due_at);
