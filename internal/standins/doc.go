// Package standins starts what plays AWS in the tests: dynalite, which plays DynamoDB, and moto, which plays SWF and
// DynamoDB; and it finds cfn-lint, which checks the templates in deploy/. "make standins" installs them into .standins/
// at the root of the repository, where git does not look; "make test" does so by itself. Package standins/postgres starts
// PostgreSQL.
//
// A stand-in runs once per test binary, shared by its tests, on a port of 127.0.0.1 that it takes itself, and ends with
// the test binary, also when that is killed: it watches its standard input, a pipe whose other end only the test binary
// holds. So tests must use tables, domains and ids of their own. What is not installed skips the test with a line that
// says so, but fails it where the environment says CI=true.
//
// Tests import this package, and the examples, which start a stand-in of their own by [StartDynamoDB]. It
// imports the standard library, and not testing.
package standins
