package postgres_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"regexp"
	"testing"

	"github.com/lambdabiz/lambdabiz/postgres"
)

// recorded is a connection to a server that is told of every statement which goes through it.
type recorded struct {
	net.Conn

	statement func(string)
	begun     bool
	rest      []byte // of what was written: the beginning of a message
}

// Write looks at the messages, and sends them. The driver writes one after the other.
func (r *recorded) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		head := 0 // the first message has no type
		if r.begun {
			head = 1
		}
		if len(r.rest) < head+4 {
			break
		}
		size := head + int(binary.BigEndian.Uint32(r.rest[head:]))
		if len(r.rest) < size {
			break
		}
		if r.begun {
			r.message(r.rest[0], r.rest[5:size])
		}
		r.begun = true
		r.rest = r.rest[size:]
	}
	return r.Conn.Write(p)
}

func (r *recorded) message(kind byte, body []byte) {
	switch kind {
	case 'P': // Parse: the statement's name comes first
		body = body[bytes.IndexByte(body, 0)+1:]
		fallthrough
	case 'Q':
		r.statement(string(body[:bytes.IndexByte(body, 0)]))
	}
}

// unportable is what one or another of the servers does not understand for which the portable mode is.
var unportable = regexp.MustCompile(`(?i)\bFOR\s+(NO\s+KEY\s+)?(KEY\s+)?(UPDATE|SHARE)\b|\bSKIP\s+LOCKED\b|\bLISTEN\b|notify|advisory|` +
	`nextval|serial\b|\bset_config\b|\bSET\s+(LOCAL|SESSION)\b|\bWITH\s*\(|COLLATE|SAVEPOINT|TRUNCATE|REFERENCES|CREATE\s+FUNCTION|` +
	`CREATE\s+TRIGGER|\bjsonb\b|regclass|pg_stat|pg_backend|ON\s+CONFLICT\s*\([^)]*\)\s*WHERE|INDEX\b[^;]*\bWHERE\b|READ\s+COMMITTED`)

func checkPortable(t testing.TB, statement string) {
	t.Helper()
	if found := unportable.FindString(statement); found != "" {
		t.Errorf("the portable mode says %s: %s", found, statement)
	}
}

// All statements are looked at here, and those that are said while the suite runs when they are sent: "make test" runs it in
// the portable mode as well.
func TestThePortableModeSaysWhatAllUnderstand(t *testing.T) {
	t.Parallel()
	for _, s := range postgres.PortableStatements() {
		checkPortable(t, s)
	}
	for _, s := range []string{
		"SELECT 1 FROM a FOR UPDATE", "SELECT 1 FROM a FOR NO KEY UPDATE SKIP LOCKED", "SELECT pg_notify('a', 'b')", "LISTEN a",
		"SELECT pg_advisory_xact_lock(1)", "SELECT set_config('a', 'b', true)", "CREATE INDEX a ON b (c) WHERE d",
		"INSERT INTO a VALUES (1) ON CONFLICT (id) WHERE latest DO NOTHING",
	} {
		if !unportable.MatchString(s) {
			t.Errorf("not found out: %s", s)
		}
	}
}
