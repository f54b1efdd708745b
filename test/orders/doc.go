// Package orders has the tests of faults of order and concurrency, in one process: starts that race, ids
// that are used again, events, timers, cancellations and restarts that come at every moment, results of
// many branches and of children. It has no code of its own.
//
// Most of it happens in bubbles of virtual time (testing/synctest), on memory and on SQLite files. Between
// an engine and its store stands a decorator that holds commits and claims back for a time picked by the
// seed, so that within one bubble all orders come up; or one that cuts the process off at the nth commit.
// Each test is the attack of one line of docs/proof/attacks.md, and has a twin TestSabotage... that removes
// a protection and must see the checks complain. For longer runs see package campaign.
package orders
