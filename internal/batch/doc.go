// Package batch gathers what many ask for into batches, which a few lanes perform side by side.
//
// It imports the standard library only.
package batch
