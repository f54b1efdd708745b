// Package plan makes answers to decision tasks: of what a history tells of a run and of what a commit asks for, the
// decisions and the journal that go to Amazon SWF.
//
// It does no I/O. Where an answer depends on something that neither the history nor the commit has, a [Draft] says what it
// wants from outside; its caller fetches that, and gives it to [Draft.Answer]. What must happen before the answer is sent,
// and changes nothing in it, comes with the [Answer].
//
// It imports packages wire and history, the root package, and of the AWS SDK the types of decisions.
package plan
