package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/rest"
)

// staff is a service that a real program would find elsewhere.
func staff() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("Authorization") != "Bearer s3cret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":22}`)
		case r.URL.Path == "/employees/21":
			fmt.Fprint(w, `{"id":21,"name":"Ada"}`)
		default:
			http.NotFound(w, r)
		}
	}))
}

// run runs an orchestration to its end, on a backend in memory.
func run[In, Out any](definition *lambdabiz.Definition[In, Out], in In) (Out, error) {
	var none Out
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	backend := memory.New()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		return none, err
	}
	client, err := rest.NewClient(rest.Config{
		Secrets: func(_ context.Context, name string) (string, error) {
			return map[string]string{"STAFF_TOKEN": "s3cret"}[name], nil
		},
	})
	if err != nil {
		return none, err
	}
	if err := engine.Register(definition, client.Services()); err != nil {
		return none, err
	}
	go func() { _ = engine.Run(ctx) }()
	handle, err := lambdabiz.Start(ctx, engine, definition, "Staff1", in)
	if err != nil {
		return none, err
	}
	return handle.Result(ctx)
}

func ExampleGet() {
	service := staff()
	defer service.Close()

	greet := lambdabiz.Define("Greet", func(o lambdabiz.Context, id int) (string, error) {
		employee, err := rest.Get[struct{ Name string }](o, "employee", fmt.Sprint(service.URL, "/employees/", id),
			rest.Header("Authorization", rest.Secret("STAFF_TOKEN").WithPrefix("Bearer ")),
			rest.Query("fields", "name"))
		return "Hello, " + employee.Name, err
	})
	fmt.Println(run(greet, 21))
	// Output: Hello, Ada <nil>
}

func ExamplePost() {
	service := staff()
	defer service.Close()

	hire := lambdabiz.Define("Hire", func(o lambdabiz.Context, name string) (string, error) {
		created, err := rest.Post[rest.Response](o, "create", service.URL+"/employees", map[string]string{"name": name},
			rest.Header("Authorization", rest.Secret("STAFF_TOKEN").WithPrefix("Bearer ")),
			rest.Idempotent(), lambdabiz.Retry(lambdabiz.Backoff{Attempts: 10}))
		return fmt.Sprint(created.Status, " ", string(created.Body)), err
	})
	fmt.Println(run(hire, "Ada"))
	// Output: 201 {"id":22} <nil>
}

func ExampleError() {
	service := staff()
	defer service.Close()

	find := lambdabiz.Define("Find", func(o lambdabiz.Context, id int) (string, error) {
		_, err := rest.Get[rest.Response](o, "employee", fmt.Sprint(service.URL, "/employees/", id),
			rest.Header("Authorization", rest.Secret("STAFF_TOKEN").WithPrefix("Bearer ")))
		var failed *rest.Error
		if errors.As(err, &failed) && failed.Status == http.StatusNotFound {
			return "nobody has that number", nil
		}
		return "", err
	})
	fmt.Println(run(find, 99))
	// Output: nobody has that number <nil>
}

func ExampleAcceptStatus() {
	service := staff()
	defer service.Close()

	remove := lambdabiz.Define("Remove", func(o lambdabiz.Context, id int) (bool, error) {
		gone, err := rest.Delete[rest.Response](o, "delete", fmt.Sprint(service.URL, "/employees/", id),
			rest.Header("Authorization", rest.Secret("STAFF_TOKEN").WithPrefix("Bearer ")),
			rest.AcceptStatus(http.StatusNotFound))
		return gone.Status != http.StatusNotFound, err
	})
	fmt.Println(run(remove, 99))
	// Output: false <nil>
}

func ExampleGuard() {
	client, err := rest.NewClient(rest.Config{
		Guard: rest.Guard{Strict: true, Allow: []string{"hr.internal", "10.20.0.0/16"}, Ports: []int{443}},
	})
	fmt.Println(client != nil, err)
	// Output: true <nil>
}
