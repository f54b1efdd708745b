// Package logbook keeps what is logged while a test runs. It imports the standard library only, and nothing but tests
// imports it.
package logbook
