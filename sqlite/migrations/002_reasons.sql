-- Why somebody has paused a run, or asked it to end, for those who look at it later. That of a pause
-- stays when the pause is over, and is not read then: the run that continues this one takes it over.
ALTER TABLE runs ADD COLUMN pause_reason TEXT;
ALTER TABLE runs ADD COLUMN cancel_reason TEXT;

PRAGMA user_version = 2;
