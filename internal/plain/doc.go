// Package plain tells of which values encoding/json makes an equal copy: what is decoded of what was encoded is the value
// again, and shares nothing with it. Of such a value nobody has to decode a copy.
//
// They are bools, numbers and strings of valid UTF-8, and structs of them, whose fields are all exported and have at most
// another name in their json tag. A type with methods is none, as they may be what encoding/json calls; time.Duration is one.
package plain
