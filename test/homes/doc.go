// Package homes has the tests of the engine's behaviour on every home: the same test, with the same orchestrations,
// runs on each backend of this module. It has no code of its own.
package homes
