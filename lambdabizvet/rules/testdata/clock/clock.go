package clock

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

func deadline() time.Time { return time.Now().Add(time.Hour) }

func later() time.Time { return deadline() }

func logged() { fmt.Println(time.Now()) }

func printed() string {
	fmt.Println("at", time.Now())
	return "printed"
}

func bad(o lambdabiz.Context, in string) error {
	began := time.Now()                // want "orchestration code calls time.Now: it runs again later"
	if time.Since(began) > time.Hour { // want "calls time.Since"
		return nil
	}
	time.Sleep(time.Second)        // want "calls time.Sleep"
	if later().After(deadline()) { // want "calls later, which calls time.Now" "calls deadline, which calls time.Now"
		return nil
	}
	f := lambdabiz.Go(o, "b", func(b lambdabiz.Context) (time.Time, error) {
		return time.Now(), nil // want "calls time.Now"
	})
	_, err := f.Wait(o)
	check := func() bool { return time.Until(began) > 0 } // want "calls time.Until"
	if check() {
		return nil
	}
	return err
}

func byHand(o *lambdabiz.Orchestration) error {
	return o.Start(time.Now()) // want "calls time.Now"
}

func good(o lambdabiz.Context, in string) error {
	o.Logger().Info("begun", "at", time.Now())
	fmt.Println(time.Now())
	logged()
	printed()
	if _, err := lambdabiz.Step(o, "now", func(context.Context) (time.Time, error) { return time.Now(), nil }); err != nil {
		return err
	}
	shown := time.Now() //lambdabizvet:ignore it is only shown
	//lambdabizvet:ignore
	other := time.Now() // want "calls time.Now"
	_, _ = shown, other
	return lambdabiz.SleepUntil(o, "tomorrow", time.Now().AddDate(0, 0, 1))
}

func task(context.Context, string) (time.Time, error) { return time.Now(), nil }

func main() { fmt.Sprint(time.Now()) }
