-- The version of the code that has run it up to where it waits, NULL for one that is not known.
ALTER TABLE runs ADD COLUMN version TEXT;

PRAGMA user_version = 3;
