// Package rules says what happens to a run: what a start, an event, an instruction, a claim, the death of a holder, a
// release and an end make of it, and who is told. The comments of [lambdabiz.Backend] are the rules in words; this is what
// they mean for a row. Every backend that keeps runs itself uses it, so that two of them cannot differ.
//
// All of it is pure: a rule is given a [Head], what is known of a run without its operations and payloads, and returns the
// head as it is then. It reads nothing, keeps nothing and knows of no store. What a backend has to do:
//
//	before, of the runs that a commit speaks of:   read the heads, and lock them
//	for each part of the commit, in its order:     ask the rule, take the head that it returns for the next question
//	then:                                          write the heads that are others now, and the messages
//
// A backend that writes row by row does so after each answer; one that writes a batch by one statement for each table asks
// for all commits of the batch first. It is the same heads that it asks with.
//
// A commit goes like this. Run has the right to write, or the verdict is ErrFenced ([Head.Writable]). A start finds the run
// of its id ([Start]) and makes another one ([New]), whose inbox gets the events that were kept for it, each by [Deliver]. An
// event goes to a run, is kept, or is refused ([Raise]); an instruction changes a run ([Control]). At last the commit ends
// the claim ([Release]) or the run ([Close]), and the run that continues it inherits ([Next], [Moves]). Whatever has a message
// in its [Change] puts it where that says, and a run that gets one is asked about by [Deliver].
//
// Claims take runs that are due ([Head.IsDue], [Fair]) and give them a holder ([Claim], [Judge]). A run whose record cannot be
// read is set aside ([Unreadable]). A holder that dies loses what it holds ([Taken]); a worker that joins wakes what it can
// serve ([Unblocks]). A purge removes what has ended ([Purges]).
//
// Where a rule stands in a statement of a database as well, because the statement changes many rows at once or is one row's
// whole commit, a test of that backend compares it with the rule.
//
// It imports the root package and the standard library. Package backendtest has a model of its own, which judges.
package rules
