package chance

import (
	"context"
	crand "crypto/rand"
	"math/rand"
	randv2 "math/rand/v2"

	"github.com/lambdabiz/lambdabiz"
)

func token() string { return crand.Text() }

func bad(o lambdabiz.Context, in string) (int, error) {
	if rand.Intn(2) == 0 { // want "orchestration code calls rand.Intn: it runs again with another outcome"
		return randv2.N(7), nil // want "calls rand.N"
	}
	return len(token()), nil // want "calls token, which calls rand.Text"
}

func good(o lambdabiz.Context, seed int64) (int, error) {
	r := rand.New(rand.NewSource(seed))
	n, err := lambdabiz.Step(o, "draw", func(context.Context) (int, error) { return rand.Intn(6), nil })
	return n + r.Intn(6), err
}
