-- Where the code of a run was when it was told to stop, by a cancellation or the deadline: NULL for most operations,
-- 1 for one behind which it was told, 2 for one that it began after that.
ALTER TABLE operations ADD COLUMN stop INTEGER;

PRAGMA user_version = 4;
