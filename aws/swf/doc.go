// Package swf is the backend on Amazon SWF: orchestrations run as workflows, on the service of the original
// LambdaBiz.
//
// A run is a workflow execution. What the engine records lies in the execution's history: as a journal in
// the execution context of its decisions, which costs no event of its own, and in the events of what SWF
// performs. Lambda functions are Lambda tasks, Go tasks and REST services are activities, timers are
// timers, events are signals, children are child workflows. Nothing else holds state: a [lambdabiz.Store]
// beside it is a copy for reading, for ids that stay used, and for events before a start.
//
// What a decision may count on: SWF gives one decision task of a run at a time, and takes the answer of
// the one that it gave last. So the fence of a claim is the number of its DecisionTaskStarted event. A
// run that closes while something has arrived is refused by SWF itself (UNHANDLED_DECISION); a journal that
// came with such a closing is void for every reader.
//
// What does no I/O lies in packages of its own: internal/wire is what stands in SWF's fields, internal/history folds a
// history into what is known of its run, and internal/plan makes the answer to a decision task of that and of a commit.
// docs/architecture.md says which file answers which question.
//
// The package imports these three, the root package, the AWS SDK, and of this module internal/awscall besides.
package swf
