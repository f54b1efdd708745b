// Package demo runs the two orchestrations of the original's README durably, and shows how they survive a
// kill: for the command line, and for the program that is the demo alone. It may import the root package, rest,
// cmd/internal/text and the standard library, so that this program is compiled quickly.
package demo
