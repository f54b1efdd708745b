// Package row says how what belongs to a run stands in the columns of a table, for backends that are databases: times as
// microseconds or as the difference to another time of the row, which takes a third of the bytes, and what has more than one
// value as JSON. NULL is for the zero time, and for nothing; the backend binds it.
//
// It imports the root package and the standard library.
package row
