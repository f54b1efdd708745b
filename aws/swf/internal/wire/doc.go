// Package wire is what stands in the fields of Amazon SWF: ids, inputs, results, signals, execution contexts, tags. Runs
// in flight have been written by older processes, so whatever changes here must still read what they wrote.
//
// What this module writes is an envelope: JSON that begins with its version. Whatever else stands there was written by
// somebody else, and is taken as it is. The package does no I/O. It imports the root package, and of the AWS
// SDK what reads its pointers.
package wire
