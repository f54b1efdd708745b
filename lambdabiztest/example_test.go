package lambdabiztest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
)

// Cart, Card and Receipt are what the orchestration of these tests works with.
type (
	Cart struct {
		Item  string
		Cents int
	}
	Card    struct{ Cents int }
	Receipt struct{ Payment, Parcel string }
)

var charge = lambdabiz.NewTask("Charge", func(context.Context, Card) (string, error) {
	return "", errors.New("this would reach the bank")
})

var ship = lambdabiz.NewTask("Ship", func(context.Context, string) (string, error) {
	return "", errors.New("this would send a parcel")
})

var errNotApproved = errors.New("not approved")

// order charges, reminds every day until somebody approves, and ships.
var order = lambdabiz.Define("Order", func(o lambdabiz.Context, in Cart) (Receipt, error) {
	payment, err := lambdabiz.Call(o, "charge", charge, Card{in.Cents}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3}))
	if err != nil {
		return Receipt{}, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Timeout(90*24*time.Hour))
	if err != nil || !approved {
		return Receipt{}, errors.Join(errNotApproved, err)
	}
	parcel, err := lambdabiz.Call(o, "ship", ship, in.Item)
	return Receipt{payment, parcel}, err
})

func TestExampleRun(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		paid := lambdabiztest.Stub(env, "charge", func(_ context.Context, _ Card) (string, error) {
			return "payment-1", nil
		}).Times(1).Input(Card{450})
		shipped := lambdabiztest.Stub(env, "ship", func(_ context.Context, item string) (string, error) {
			return "parcel of " + item, nil
		}).Times(1)
		lambdabiztest.InOrder(paid, env.Expect("Approve"), shipped)

		run := lambdabiztest.Start(env, order, "order-7", Cart{"tea", 450})
		env.Advance(30 * 24 * time.Hour) // costs nothing
		env.Raise("order-7", "Approve", true)
		got, err := run.Result()
		if want := (Receipt{"payment-1", "parcel of tea"}); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestExampleCrashEverywhere(t *testing.T) {
	lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(order)
		bank := map[string]int{} // what was charged, by idempotency key
		lambdabiztest.Stub(env, "charge", func(ctx context.Context, c Card) (string, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			bank[info.IdempotencyKey] = c.Cents
			return "payment-1", nil
		})
		lambdabiztest.Stub(env, "ship", func(_ context.Context, item string) (string, error) {
			return "parcel of " + item, nil
		})
		run := lambdabiztest.Start(env, order, "order-7", Cart{"tea", 450})
		env.Advance(time.Hour)
		env.Raise("order-7", "Approve", true)
		if _, err := run.Result(); err != nil {
			t.Error(err)
		}
		env.Same("payments", len(bank))
	})
}
