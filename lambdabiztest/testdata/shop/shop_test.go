package shop_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"

	shop "github.com/lambdabiz/lambdabiz/lambdabiztest/testdata/shop"
)

const week = 7 * 24 * time.Hour

func TestOrderShipsAfterApproval(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(shop.Order)
		charge := lambdabiztest.Stub(env, "charge", func(_ context.Context, cents int) (string, error) {
			return "payment-1", nil
		}).Times(1).Input(450)
		remind := lambdabiztest.StubDo(env, "remind-*", func(context.Context) error { return nil }).Times(2)
		ship := lambdabiztest.Stub(env, "ship", func(_ context.Context, item string) (string, error) {
			return "parcel of " + item, nil
		}).Times(1)
		lambdabiztest.InOrder(charge, remind, ship)

		order := lambdabiztest.Start(env, shop.Order, "order-7", shop.Cart{"tea", 450})
		env.Advance(2*week + time.Hour) // two reminders
		env.Raise("order-7", "Approve", true)
		got, err := order.Result()
		if want := (shop.Receipt{"payment-1", "parcel of tea"}); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestOrderAsksForAnApproval(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(shop.Order)
		env.AllowOpen("order-7") // without ids: all of them
		lambdabiztest.Stub(env, "charge", func(context.Context, int) (string, error) { return "payment-1", nil })
		order := lambdabiztest.Start(env, shop.Order, "order-7", shop.Cart{"tea", 450})
		if waits := order.State().WaitingFor; len(waits) != 1 || waits[0].Name != "Approve" {
			t.Errorf("it waits for %+v", waits)
		}
	})
}

func TestOrderRefundsAfterFourWeeks(t *testing.T) {
	lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(shop.Order)
		lambdabiztest.Stub(env, "charge", func(ctx context.Context, cents int) (string, error) {
			if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
				return "", errors.New("the bank is busy")
			}
			return "payment-1", nil
		}).Times(2)
		lambdabiztest.StubDo(env, "remind-*", func(context.Context) error { return nil }).Times(3)
		lambdabiztest.Stub(env, "refund", func(_ context.Context, payment string) (string, error) {
			return "refunded", nil
		}).Times(1).Input("payment-1")
		env.Expect("ship").Times(0)

		_, err := lambdabiztest.Start(env, shop.Order, "order-7", shop.Cart{"tea", 450}).Result()
		if late := (*lambdabiz.EventTimeoutError)(nil); !errors.As(err, &late) || late.Event != "Approve" {
			t.Errorf("got %v, want the time-out of Approve", err)
		}
	})
}

func TestOrderSurvivesACrashAnywhere(t *testing.T) {
	lambdabiztest.CrashEverywhere(t, func(t *testing.T, env *lambdabiztest.Env) {
		env.Register(shop.Order)
		bank := map[string]int{} // what was charged, by the key that is the same in each repetition
		lambdabiztest.Stub(env, "charge", func(ctx context.Context, cents int) (string, error) {
			info, _ := lambdabiz.TaskInfoFrom(ctx)
			bank[info.IdempotencyKey] = cents
			return "payment-1", nil
		})
		lambdabiztest.StubDo(env, "remind-*", func(ctx context.Context) error { return nil })
		lambdabiztest.Stub(env, "ship", func(_ context.Context, item string) (string, error) { return "parcel", nil })

		order := lambdabiztest.Start(env, shop.Order, "order-7", shop.Cart{"tea", 450})
		env.Advance(2*week + time.Hour)
		env.Raise("order-7", "Approve", true)
		if _, err := order.Result(); err != nil {
			t.Error(err)
		}
		env.Same("payments", len(bank))
	})
}

func TestNewCodeTakesOverOrdersOfProduction(t *testing.T) {
	state, err := os.ReadFile("testdata/order-7.json") // lambdabiz show order-7 -o json
	if err != nil {
		t.Fatal(err)
	}
	report := lambdabiztest.Resume(t, lambdabiztest.Recording{State: state}, shop.Order)
	if !report.Fits() {
		t.Errorf("the new code does not fit:\n%s", report)
	}
	late := lambdabiztest.Recording{State: state, At: time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC)}
	want := `Order order-7
next:
  remind-1  STEP
goes on with:
  approval-1  EVENT "Approve"  TIMEOUT
kept:
  charge  TASK "Charge"  SUCCEEDED
`
	if got := lambdabiztest.Resume(t, late, shop.Order).String(); got != want {
		t.Errorf("on the first of December it would do\n%s\nwant\n%s", got, want)
	}
}

func TestNewCodeTakesOverAllThatIsOpen(t *testing.T) {
	export, err := os.ReadFile("testdata/open.jsonl") // lambdabiz export -o open.jsonl
	if err != nil {
		t.Fatal(err)
	}
	if table := lambdabiztest.Check(t, export, shop.Order); !table.Fits() {
		t.Errorf("the new code does not fit:\n%s", table)
	}
}
