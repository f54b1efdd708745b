// Package sequence has the two orchestrations of the original's example: one that calls five Lambda functions, cools down and
// waits for an approval, and one that calls a REST service and then raises that approval.
//
// It imports the root package and package rest.
package sequence
