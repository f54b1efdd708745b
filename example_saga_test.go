package lambdabiz_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// When a part of a saga fails, the parts before it are taken back, the latest first. That holds after a cancellation too,
// and over a crash at any moment.
func ExampleSaga() {
	book := lambdabiz.NewTask("Book", func(_ context.Context, part string) (string, error) {
		if part == "car" {
			return "", errors.New("no cars left")
		}
		fmt.Println("booked", part)
		return "booking of " + part, nil
	})
	takeBack := lambdabiz.NewTask("TakeBack", func(_ context.Context, booking string) (string, error) {
		fmt.Println("took back", booking)
		return "", nil
	})
	trip := lambdabiz.Define("Trip", func(o lambdabiz.Context, parts []string) ([]string, error) {
		return lambdabiz.Saga(o, func(undo *lambdabiz.Compensations) ([]string, error) {
			var bookings []string
			for _, part := range parts {
				booking, err := lambdabiz.Call(o, "book-"+part, book, part)
				if err != nil {
					return nil, err
				}
				bookings = append(bookings, booking)
				undo.Add("undo-"+part, func(o lambdabiz.Context) error {
					forever := lambdabiz.Retry(lambdabiz.Backoff{Attempts: -1, Max: time.Hour})
					_, err := lambdabiz.Call(o, "take-back", takeBack, booking, forever)
					return err
				})
			}
			return bookings, nil
		})
	})

	ctx := context.Background()
	engine, stop := exampleWorker(trip, book, takeBack)
	defer stop()
	run, err := lambdabiz.Start(ctx, engine, trip, "trip-1", []string{"flight", "hotel", "car"})
	if err != nil {
		panic(err)
	}
	_, err = run.Result(ctx)
	fmt.Println(err)
	// Output:
	// booked flight
	// booked hotel
	// took back booking of hotel
	// took back booking of flight
	// orchestration trip-1 (Trip) FAILED: book-car (Book), attempt 1: no cars left
}
