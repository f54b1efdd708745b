// Package limits has the tests of what is large, long, old or rotten: storms of timers, years with restarts, poison, payloads of
// every size, long histories, and code that changes while orchestrations are in flight. It has nothing but tests.
package limits
