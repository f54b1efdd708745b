// Package history folds the history of a workflow execution into what is known of the run: its record, its inbox, and
// what SWF has open for its operations. The same events give the same fold to every reader.
//
// It does no I/O. It imports package wire, the root package, and of the AWS SDK the types of events.
package history
