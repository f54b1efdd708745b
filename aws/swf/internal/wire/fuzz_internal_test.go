package wire

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzID(f *testing.F) {
	for _, seed := range []string{"", "arn", "a:b|c/d%", " x ", "\u0085", "%61rn", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !utf8.ValidString(id) {
			return // refused before
		}
		encoded := EncodeID(id)
		if strings.ContainsAny(encoded, ":/|\x00\n") || encoded == "arn" || strings.TrimSpace(encoded) != encoded {
			t.Errorf("%q becomes %q, which SWF refuses", id, encoded)
		}
		if got := DecodeID(encoded); got != id {
			t.Errorf("%q becomes %q and comes back as %q", id, encoded, got)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add(`{"lambdabiz":1,"ops":[{"n":1,"id":"a","kind":"TASK","status":"SUCCEEDED","result":[1]}]}`, []byte("1"))
	f.Add(`{"lambdabiz":1,"runId":"r","input":"bnVsbA==","events":[{"name":"E","data":null}],"cancel":{}}`, []byte("\xff"))
	f.Add(`{"lambdabiz":2}`, []byte{})
	f.Add(`{"lambdabiz":1,"kind":"journal","fence":-1,"journal":{"consumed":[9],"parts":-3}}`, []byte(`{"lambdabiz":1}`))
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		if j := (&Journal{}); Open(text, j) == nil {
			again, err := Marshal(j)
			if second := (&Journal{}); err != nil || Open(again, second) != nil || len(second.Ops) != len(j.Ops) {
				t.Errorf("the journal %q became %q, %v", text, again, err)
			}
		}
		p := Payload(data)
		stored, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back Payload
		if err := back.UnmarshalJSON(stored); err != nil || !bytes.Equal(back, p) {
			t.Errorf("%q became %q, and %q, %v", data, stored, back, err)
		}
		_ = back.UnmarshalJSON([]byte(text)) // an error, or not: no panic
	})
}
