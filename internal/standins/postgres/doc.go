// Package postgres starts PostgreSQL servers for tests. They are real ones: the server that Debian installs, or one of the
// two other major versions that "make standins" fetches into .standins/; "make test" does so by itself.
//
// A test that needs a place for its tables takes [Database]: an empty database of its own, on a server that all tests of the
// binary share. CREATE DATABASE alone took 20 to 30 ms on PostgreSQL 15, and 70 to 210 ms on 14 and 18, on two cores with
// other work; a suite of hundreds of tests is quicker with a schema for each in one database. LAMBDABIZ_TEST_POSTGRES=url puts
// these databases on a server of yours. A test of faults takes a server of its own by [Start]: that one can be killed, frozen,
// started again, followed by a standby that is promoted ([Server.Standby]), and have PgBouncer in front
// ([Server.PgBouncer]), or a proxy that delays, cuts and loses what it says ([Server.Proxy]).
//
// Servers listen on loopback, ask for a password, and run in a folder of their own under the folder for temporary files, as
// the user postgres or nobody where the tests run as root, which the server refuses. They end with the test, and with the
// test binary also when that is killed, by the same means as the other stand-ins. Without a server the test is skipped with a
// line that says so, but fails where the environment says CI=true. Linux and macOS only; elsewhere name a server of yours.
//
// A server writes to disk as PostgreSQL does by default. [Config].Quick leaves out what only a loss of power would show:
// fsync and whole pages. A killed server loses nothing by it, since what it has written is the kernel's. The shared server
// is quick.
//
// Tests import this package. It imports package standins, pgx and the standard library, and not testing.
package postgres
