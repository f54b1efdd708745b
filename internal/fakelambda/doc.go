// Package fakelambda stands in for AWS Lambda on this machine, for tests and for examples that run
// without an account. It has the HTTP API to invoke functions, and the Runtime API under which the very
// binary that is deployed runs: one process is one execution environment, with one invocation at a time.
//
// It is no proof of how AWS behaves. Rules that follow AWS's documentation, or an answer of AWS that
// somebody published, name it; the others say "assumed". It imports no other package of this module, and
// nothing of AWS.
package fakelambda
