// Package faults has no code: its tests let workers, clocks and stores fail in ways that the engine must survive,
// in one process and in virtual time, and judge by package invariant what is left. What needs processes of its own
// is in test/process.
package faults
