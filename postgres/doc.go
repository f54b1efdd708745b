// Package postgres keeps orchestrations in PostgreSQL: the home for many machines. Start the same program as often as you
// like; any worker continues any orchestration.
//
// What is acknowledged is on the server's disk, if it has synchronous_commit on, which is its default. Where a standby takes
// over, only what a synchronous one has is safe: what an asynchronous one has not received is lost, though nothing that is
// left is stuck or mixed up.
//
// A batch of commits is written in two ways. What says nothing that depends on how a run stands (operations, progress, the end
// of a run that nobody waits for, a release, a start of an id that is not used) goes in one round trip, as one implicit
// transaction: each statement asks by itself whether the run is still its holder's, and says what it has written. What is
// left, and what was refused there, is a transaction that reads the heads of the runs that it speaks of under their locks, in
// the order of their numbers, asks internal/rules what becomes of them, and writes each table by one statement.
//
// Before all of that a batch locks its lane, a row of its worker's that nobody updates. Whoever takes over from a worker deletes
// that row first, so that a worker that was frozen can write nothing more, and whoever terminates a run waits for it; and when
// the answer to a commit was lost, whoever gets the row knows that the server is through with it, and finds what became of it.
//
// Numbers of runs and workers are made here, not by sequences: after a fail-over to a standby that lags, a sequence would
// give numbers again that somebody still has in memory.
//
// Tables of the application's own may lie in the same database. [Tx] is a step whose writes there happen exactly once; [StartTx] and
// [RaiseTx] start and raise in a transaction of the application's.
//
// PostgreSQL 14 and newer. All tables are in one schema, whose name may be chosen, so that applications share a database.
//
// The package may import the root package, internal/rules, internal/row, the driver (github.com/jackc/pgx/v5) and the
// standard library.
package postgres
