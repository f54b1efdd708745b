package postgres_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// The same program on as many machines as you like: each starts what it is told to, and works on what is due.
func Example() { //nolint:testableexamples // it needs a server
	ctx := context.Background()
	backend, err := postgres.Open(ctx, "postgres://orders:secret@db.example.com/shop?sslmode=verify-full", postgres.Config{
		Schema: "orders", // beside the tables of other applications
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close() }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Lease: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	greet := lambdabiz.Define("Greet", func(o lambdabiz.Context, name string) (string, error) {
		return lambdabiz.Step(o, "say", func(context.Context) (string, error) { return "hello, " + name, nil })
	})
	if err := engine.Register(greet); err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = engine.Run(ctx) }() // leave it out and the engine is only a client
	run, err := lambdabiz.Start(ctx, engine, greet, "greeting-7", "Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(run.Result(ctx))
}

// What a health check of a deployment may ask, and `lambdabiz doctor` does.
func ExampleCheckDatabase() { //nolint:testableexamples // it needs a server
	for _, c := range postgres.CheckDatabase(context.Background(), "postgres://orders@db.example.com/shop", postgres.Config{}) {
		switch {
		case c.Err != nil:
			fmt.Println(c.Name, "does not work:", c.Err)
		case c.Warning != "":
			fmt.Println(c.Name, "may become a problem:", c.Warning)
		default:
			fmt.Println(c.Name, c.Detail)
		}
	}
}
