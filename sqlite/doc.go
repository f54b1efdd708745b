// Package sqlite keeps orchestrations in a SQLite file: the home for one machine, and the default.
// Any number of processes may work on one file at the same time.
//
// What is acknowledged is on disk: the file is in WAL mode with synchronous=FULL. Commits of many runs
// are one transaction with one fsync. A worker holds a lock file beside the database, named like
// "orders.db-worker-7", for as long as its process lives, so that others learn at once of its death. Without
// that file its lease decides.
//
// One process at a time writes. Each says since when it has been in a write in a file like "orders.db-writer-1x2y3z",
// so that whoever has to wait is told for whom ([Backend.LockedBy], [LockedError]).
//
// Tables of the application's own may lie in the same file. [Tx] is a step whose writes there happen exactly once; [StartTx] and
// [RaiseTx] start and raise in a transaction of the application's.
//
// A database has one name: [Open] refuses hard links ([ErrLinked]). Nothing is acknowledged in a file that is not
// where its path says any more ([ErrMoved]).
//
// What happens to a run it asks internal/rules; where a statement changes rows by a rule without reading them, a test compares
// it with that.
//
// The package may import the root package, internal, the driver (github.com/ncruces/go-sqlite3, through its
// direct interface), github.com/gofrs/flock and the standard library. It starts no goroutines, but for that of database/sql while
// a step is in its transaction, and works inside a testing/synctest bubble.
package sqlite
