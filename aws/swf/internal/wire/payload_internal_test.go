package wire

import (
	"math/rand/v2"
	"testing"
)

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	payloads := [][]byte{nil, []byte("null"), []byte(`""`), []byte(`"<&>"`), []byte(`{"a": 1}`), []byte(`[1,2]`), []byte("\xff\xfe"),
		[]byte("1e400"), []byte("\"\u2028\""), []byte(`"\u2028"`), []byte("12345678901234567890")}
	for range 500 {
		p := make([]byte, random.IntN(20)+1)
		for i := range p {
			p[i] = byte(random.IntN(256))
		}
		payloads = append(payloads, p)
	}
	for _, p := range payloads {
		text, err := Marshal(&Signal{Version: Version, Data: Payload(p)})
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		var back Signal
		if err := Open(text, &back); err != nil || string(back.Data) != string(p) {
			t.Errorf("%q becomes %s and comes back as %q, %v", p, text, back.Data, err)
		}
	}
}
