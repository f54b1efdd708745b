package lambdabiz

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxIDBytes is the limit of an orchestration id, of an operation id in its scope, of a name and of
// an event's key.
const MaxIDBytes = 256

// checkID returns an error that names the field if id is not 1 to 256 bytes of UTF-8 without control
// characters.
func checkID(field, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("check %s: %w: it is empty", field, ErrInvalidID)
	case len(id) > MaxIDBytes:
		return fmt.Errorf("check %s %q...: %w: %d bytes, the limit is %d",
			field, strings.ToValidUTF8(id[:32], "?"), ErrTooLarge, len(id), MaxIDBytes)
	case !utf8.ValidString(id):
		return fmt.Errorf("check %s %q: %w: it is not UTF-8", field, id, ErrInvalidID)
	}
	for _, c := range id {
		if unicode.IsControl(c) {
			return fmt.Errorf("check %s %q: %w: it has the control character %U", field, id, ErrInvalidID, c)
		}
	}
	return nil
}

// childMark stands between a parent's id and the path of the operation in the ids that are made for children. No path
// has it, for there "~" is followed by "0" or "1", and nobody may give an id that has it: so no two families meet, and a
// child's id tells where the parent's ends.
const childMark = "~-"

// childID makes the id of a child.
func childID(parent, path string) string { return parent + childMark + path }

// checkGivenID returns an error if an id that somebody gives to a new run could be one that is made for a child.
func checkGivenID(id string) error {
	if strings.Contains(id, childMark) {
		return fmt.Errorf("check orchestration id %q: %w: ids with %q in them are made for children",
			id, ErrInvalidID, childMark)
	}
	return nil
}

var (
	escaper   = strings.NewReplacer("~", "~0", "/", "~1")
	unescaper = strings.NewReplacer("~0", "~", "~1", "/")
)

// joinPath puts an id into a scope. Inside an id "/" is kept as "~1" and "~" as "~0" (as in RFC 6901),
// so that id "a/b" and id "b" in scope "a" never meet.
func joinPath(scope, id string) string {
	if strings.ContainsAny(id, "~/") {
		id = escaper.Replace(id)
	}
	if scope == "" {
		return id
	}
	return scope + "/" + id
}

// newRunID returns an id that no other run has: 128 random bits.
func newRunID() string { return rand.Text() }

// idempotencyKey is the same for every attempt of an operation, and never the same in the next run.
func idempotencyKey(orchestrationID, runID, path string) string {
	sum := sha256.Sum256([]byte(orchestrationID + "\x00" + runID + "\x00" + path))
	return hex.EncodeToString(sum[:16])
}
