package main

import (
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// Input is what the sequence starts with.
type Input struct {
	URL     string // where the service is
	Approve string // an orchestration that waits for the event Approve; empty for none
}

// Employee is what the service keeps.
type Employee struct {
	ID     int    `json:"id,omitempty"`
	Name   string `json:"name"`
	Salary int    `json:"salary"`
}

// Result says what the calls have come to.
type Result struct {
	Employees int // before Ada came
	Ada       Employee
	Approved  bool
}

// restSequence calls a REST service four times, one call after the other, and approves what another orchestration waits
// with. Each response is recorded: the service is not called again for it.
var restSequence = lambdabiz.Define("RESTSequence", func(o lambdabiz.Context, in Input) (Result, error) {
	var none Result
	all, err := rest.Get[[]Employee](o, "ServiceOperation1", in.URL+"/employees", patiently)
	if err != nil {
		return none, err
	}
	// A POST is repeated after a failure only if the service knows the Idempotency-Key, which every attempt carries.
	ada, err := rest.Post[Employee](o, "ServiceOperation2", in.URL+"/employees", Employee{Name: "Ada", Salary: 4200},
		patiently, rest.Idempotent())
	if err != nil {
		return none, err
	}
	ada.Salary += 400
	ada, err = rest.Put[Employee](o, "ServiceOperation3", in.URL+"/employees/22", ada, patiently)
	if err != nil {
		return none, err
	}
	// 404 is a success here: the employee may have gone before.
	_, err = rest.Delete[rest.Response](o, "ServiceOperation4", in.URL+"/employees/21", patiently, rest.AcceptStatus(404))
	if err != nil {
		return none, err
	}
	approved, err := approve(o, in.Approve)
	return Result{Employees: len(all), Ada: ada, Approved: approved}, err
})

// approve raises the event. That is an operation too: it happens once, whatever happens to this program.
func approve(o lambdabiz.Context, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	err := lambdabiz.RaiseEvent(o, "RaiseApprove", id, "Approve", true)
	if errors.Is(err, lambdabiz.ErrClosed) {
		return false, nil // it has ended: nobody waits any more
	}
	return err == nil, err
}

// patiently waits for a service that is away for a while.
var patiently = lambdabiz.Retry(lambdabiz.Backoff{Attempts: 20, Initial: 200 * time.Millisecond, Max: 5 * time.Second})
