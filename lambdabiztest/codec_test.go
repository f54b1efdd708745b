package lambdabiztest_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// salted is a codec that never writes the same twice, as one that encrypts.
type salted struct{ count *atomic.Uint64 }

func (s salted) Encode(v any) (lambdabiz.Payload, error) {
	p, err := json.Marshal(v)
	return append(binary.BigEndian.AppendUint64(nil, ^s.count.Add(1)), p...), err
}

func (salted) Decode(p lambdabiz.Payload, v any) error {
	if len(p) < 8 {
		return errors.New("without salt")
	}
	return json.Unmarshal(p[8:], v)
}

// What a test kit compares is what payloads mean, not their bytes.
func TestACodecThatNeverWritesTheSameTwice(t *testing.T) {
	codec := salted{&atomic.Uint64{}}
	cart := Cart{"tea", 450}
	var state []byte
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.AllowOpen("order-7")
		env.Configure(lambdabiz.Config{Codec: codec})
		env.Register(first)
		for _, id := range []string{"check", "charge"} {
			lambdabiztest.Stub(env, id, func(context.Context, lambdabiz.Payload) (string, error) { return "done", nil })
		}
		lambdabiztest.Start(env, first, "order-7", cart)
		var err error
		if state, err = json.Marshal(env.State("order-7")); err != nil {
			t.Fatal(err)
		}
	})
	r := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state, Codec: codec}, first)
	if r.Blocked != nil || len(r.Kept) != 2 || len(r.Changed) != 0 {
		t.Errorf("the report is\n%s", r)
	}
	order := lambdabiz.Define("Order", func(o lambdabiz.Context, c Cart) (string, error) {
		return lambdabiz.CallTask[string](o, "charge", "Charge", c)
	})
	lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Configure(lambdabiz.Config{Codec: codec})
		env.Register(order)
		lambdabiztest.Stub(env, "charge", func(context.Context, Cart) (string, error) { return "done", nil }).Input(cart)
		if got, err := lambdabiztest.Start(env, order, "order-8", cart).Result(); got != "done" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
