package backendtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// explain writes a commit, a filter or another plain value without its zero fields.
func explain(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	var plain any
	if err := json.Unmarshal(encoded, &plain); err != nil {
		return string(encoded)
	}
	short, _ := json.Marshal(withoutZeros(plain)) // made by Unmarshal: it can be encoded
	return string(short)
}

func withoutZeros(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		if list, ok := v.([]any); ok {
			for i := range list {
				list[i] = withoutZeros(list[i])
			}
		}
		return v
	}
	for key, value := range object {
		value = withoutZeros(value)
		object[key] = value
		switch x := value.(type) {
		case nil:
			delete(object, key)
		case bool:
			if !x {
				delete(object, key)
			}
		case float64:
			if x == 0 {
				delete(object, key)
			}
		case string:
			if x == "" || x == "NONE" || strings.HasPrefix(x, "0001-01-01T") {
				delete(object, key)
			}
		case []any:
			if len(x) == 0 {
				delete(object, key)
			}
		}
	}
	return object
}

func (a commitAction) String() string {
	parts := []string{}
	for _, p := range a.parts {
		by := "from outside"
		if p.ticket >= 0 {
			by = fmt.Sprintf("under ticket %d, %d messages unseen, consuming %v", p.ticket, p.unseen, p.consume)
		}
		if p.slot >= 0 {
			by += fmt.Sprintf(", worker slot %d", p.slot)
		}
		parts = append(parts, by+" "+explain(p.commit))
	}
	return "commit " + strings.Join(parts, "\n  and ")
}

func (a claimAction) String() string {
	return fmt.Sprintf("claim by worker slot %d of %q, limit %d, now %s", a.slot, a.names, a.limit, a.now.Format(time.TimeOnly))
}

func (a handAction) String() string { return "claim by hand of " + a.id }

func (a workerAction) String() string {
	return fmt.Sprintf("worker slot %d: %s %s %q", a.slot, a.what, a.version, a.names)
}

func (a loadAction) String() string { return fmt.Sprintf("load %s run %q", a.id, a.runID) }

func (a listAction) String() string { return "list " + explain(a.filter) }

func (a purgeAction) String() string { return "purge " + a.id }
