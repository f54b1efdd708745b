// Package text shows states and values to people and to scripts, for the programs of this repository. It may import
// the root package, rest and the standard library.
package text
