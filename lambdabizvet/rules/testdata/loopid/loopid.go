package loopid

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

var charge = lambdabiz.NewTask("Charge", func(context.Context, string) (string, error) { return "", nil })

type item struct{ sku string }

func pay(o lambdabiz.Context, id string, in string) error {
	_, err := lambdabiz.Call(o, id, charge, in)
	return err
}

func bad(o lambdabiz.Context, in []string) error {
	name := "charge"
	for _, s := range in {
		if _, err := lambdabiz.Call(o, "charge", charge, s); err != nil { // want "the operation has the same id in each round of the loop at line"
			return err
		}
		if err := pay(o, name, s); err != nil { // want "the same id in each round"
			return err
		}
		if err := pay(o, fmt.Sprintf("%s-x", name), s); err != nil { // want "the same id in each round"
			return err
		}
		_, _ = rest.Get[string](o, "get", "http://example.com")            // want "the same id in each round"
		lambdabiz.Go(o, "branch", func(b lambdabiz.Context) (int, error) { // want "the same id in each round"
			return 0, pay(b, "fine", s)
		})
	}
	for {
		if err := lambdabiz.Sleep(o, "nap", time.Second); err != nil { // want "the same id in each round"
			return err
		}
	}
}

func good(o lambdabiz.Context, in []item) error {
	for i, s := range in {
		_ = pay(o, "charge-"+s.sku, "")
		_ = pay(o, fmt.Sprintf("again-%d", i), "")
		_ = pay(o, "n"+strconv.Itoa(i), "")
		lambdabiz.Go(o, "branch-"+s.sku, func(b lambdabiz.Context) (int, error) {
			return 0, pay(b, "fine", "")
		})
	}
	round := 0
	for {
		round++
		id := fmt.Sprint("nap-", round)
		if err := lambdabiz.Sleep(o, id, time.Second); err != nil {
			return err
		}
		if round > 3 {
			_ = pay(o, "last", "")
			return nil
		}
	}
}

func cleanUp(o lambdabiz.Context, in []item) error {
	_, err := lambdabiz.Map(o, "items", in, func(i item) string { return i.sku }, func(b lambdabiz.Context, i item) (int, error) {
		return 0, pay(b, "charge", i.sku)
	})
	for range in {
		for _, i := range in {
			_ = pay(o, next(), i.sku)
		}
	}
	return err
}

var last int

func next() string { last++; return strconv.Itoa(last) }
