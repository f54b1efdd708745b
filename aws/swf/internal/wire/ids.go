package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// EncodeID makes a workflow id, a type's name or a task list of any id, reversibly. SWF forbids ":", "/", "|",
// control characters, the id "arn", and white space at the ends of a list (StartWorkflowExecution, parameters workflowId
// and taskList).
func EncodeID(id string) string {
	if id == "arn" {
		return "%61rn"
	}
	var b strings.Builder
	for i, c := range id {
		end := unicode.IsSpace(c) && (i == 0 || i+utf8.RuneLen(c) == len(id))
		if end || c == '%' || c == ':' || c == '/' || c == '|' || c <= 0x1f || c >= 0x7f && c <= 0x9f {
			for _, x := range []byte(string(c)) {
				fmt.Fprintf(&b, "%%%02X", x)
			}
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// DecodeID is the reverse of EncodeID. What EncodeID cannot have made stays as it is.
func DecodeID(id string) string {
	plain, err := url.PathUnescape(id)
	if err != nil || EncodeID(plain) != id {
		return id
	}
	return plain
}

// Units is the length of a text as Amazon SWF counts it: in UTF-16 code units, as Java and the service model do. That
// of a character outside the basic plane, as most emoji are, is two.
func Units(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// CheckLength refuses an id that does not fit when it is encoded.
func CheckLength(field, id string) error {
	if n := Units(EncodeID(id)); n > MaxName {
		return fmt.Errorf("check %s %q: %w: %d characters when it is encoded for Amazon SWF, the limit is %d",
			field, id, lambdabiz.ErrTooLarge, n, MaxName)
	}
	return nil
}

// CheckQueue is CheckLength for the name of a task list, which has room for that of its services; see WorkList.
func CheckQueue(field, name string) error {
	if err := CheckLength(field, name); err != nil {
		return err
	}
	most := MaxName - Units(WorkList("", lambdabiz.KindService))
	if n := Units(EncodeID(name)); n > most {
		return fmt.Errorf("check %s %q: %w: %d characters when it is encoded for Amazon SWF, the limit of a task list with services is %d",
			field, name, lambdabiz.ErrTooLarge, n, most)
	}
	return nil
}

// AttemptID names an attempt of an operation: readable if it is short, hashed if not.
func AttemptID(path string, attempt int) string {
	id := EncodeID(path)
	if len(id) > 200 {
		sum := sha256.Sum256([]byte(path))
		id = "#" + hex.EncodeToString(sum[:20])
	}
	return id + "~" + strconv.Itoa(attempt)
}

// WorkList is the task list of the activities of a kind: services have one of their own, which REST workers serve.
func WorkList(list string, kind lambdabiz.Kind) string {
	if kind == lambdabiz.KindService {
		return list + ".rest"
	}
	return list
}

// HandList is the task list of a run that is driven by hand: its own, as in the original.
func HandList(id string) string {
	if list := "lambdabiz-" + EncodeID(id); len(list) <= MaxName-len(".rest") {
		return list
	}
	return "lambdabiz-" + AttemptID(id+string(make([]byte, MaxName)), 0)
}
