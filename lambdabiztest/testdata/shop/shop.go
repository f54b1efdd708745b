package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

type Cart struct {
	Item  string
	Cents int
}

type Receipt struct{ Payment, Parcel string }

var Charge = lambdabiz.NewTask("Charge", func(ctx context.Context, cents int) (string, error) {
	return "", errors.New("no bank in this program")
})

var Refund = lambdabiz.NewTask("Refund", func(ctx context.Context, payment string) (string, error) {
	return "", errors.New("no bank in this program")
})

var Ship = lambdabiz.NewTask("Ship", func(ctx context.Context, item string) (string, error) {
	return "", errors.New("no post in this program")
})

// Order charges, asks for an approval with a reminder every week, and ships; it refunds when nobody has answered after
// four weeks.
var Order = lambdabiz.Define("Order", func(o lambdabiz.Context, in Cart) (Receipt, error) {
	payment, err := lambdabiz.Call(o, "charge", Charge, in.Cents, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3}))
	if err != nil {
		return Receipt{}, err
	}
	for week := 1; ; week++ {
		_, err := lambdabiz.WaitForEvent[bool](o, fmt.Sprint("approval-", week),
			lambdabiz.Named("Approve"), lambdabiz.Timeout(7*24*time.Hour))
		if err == nil {
			break
		}
		if week == 4 {
			_, refund := lambdabiz.Call(o, "refund", Refund, payment)
			return Receipt{}, errors.Join(err, refund)
		}
		err = lambdabiz.Do(o, fmt.Sprint("remind-", week), func(context.Context) error {
			return errors.New("no mail in this program")
		})
		if err != nil {
			return Receipt{}, err
		}
	}
	parcel, err := lambdabiz.Call(o, "ship", Ship, in.Item)
	return Receipt{payment, parcel}, err
})
