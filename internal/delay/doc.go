// Package delay hands things on a fixed time after they came.
//
// It imports the standard library only.
package delay
