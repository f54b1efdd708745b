// Package meaning compares payloads by what they mean. A codec may write one value in many ways: with another nonce each
// time, or in the order of a map.
//
// It imports the standard library only. Codecs and the methods of values are foreign code: no lock may be held, and who
// calls sees to panics.
package meaning
