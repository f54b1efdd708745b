// Package probe is where package lambdabiztest stands between an orchestration's code and its operations. A backend
// that is an [Interceptor] is asked about each operation that the code comes to. It is internal, so that no backend
// of a user can be one: what it may do breaks promises of the engine.
//
// It imports the standard library only.
package probe
