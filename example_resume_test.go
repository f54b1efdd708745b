package lambdabiz_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// The function runs again from its top when another worker takes the run; its recorded operations
// return what is recorded. In earnest the second worker is another process on the same database.
func Example_resume() {
	begun := make(chan bool, 2)
	pour := lambdabiz.NewTask("Pour", func(_ context.Context, drink string) (string, error) {
		fmt.Println("pouring", drink)
		return "a cup of " + drink, nil
	})
	serve := lambdabiz.Define("Serve", func(o lambdabiz.Context, drink string) (string, error) {
		cup, err := lambdabiz.Call(o, "pour", pour, drink)
		if err != nil {
			return "", err
		}
		begun <- true // code between operations runs again: here it only tells this example
		if err := lambdabiz.Sleep(o, "cool", 2*time.Second); err != nil {
			return "", err
		}
		return cup, nil
	})
	backend := memory.New()
	ctx := context.Background()

	engine, stop := exampleWorkerOn(backend, serve, pour)
	if _, err := lambdabiz.Start(ctx, engine, serve, "serve-1", "tea"); err != nil {
		panic(err)
	}
	<-begun
	stop()

	engine, stop = exampleWorkerOn(backend, serve, pour)
	defer stop()
	fmt.Println(lambdabiz.Get(engine, serve, "serve-1").Result(ctx))
	fmt.Println("ran its code again:", len(begun) == 1)
	// Output:
	// pouring tea
	// a cup of tea <nil>
	// ran its code again: true
}
