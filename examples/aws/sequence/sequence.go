package sequence

import (
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// Numbers is what the tasks compute with.
type Numbers struct{ Number1, Number2 int }

// OperationResult is what a task has computed.
type OperationResult struct {
	Number1, Number2 int
	Result           float64
}

// Input is the input of Sequence.
type Input struct {
	Numbers

	CoolDownSeconds int // how long the timer takes; 0 means 30
}

// ErrNotApproved ends a Sequence whose approval was refused.
var ErrNotApproved = errors.New("not approved")

// Sequence computes with five Lambda functions, cools down, and waits for the event Approve. Its result is the quotient.
var Sequence = lambdabiz.Define("Sequence", func(o lambdabiz.Context, in Input) (OperationResult, error) {
	var e OperationResult
	a, err := lambdabiz.CallTask[Numbers](o, "Operation1", "Number", in.Numbers)
	if err != nil {
		return e, err
	}
	for _, call := range []struct{ id, task string }{
		{"Operation2", "Sum"}, {"Operation3", "Difference"}, {"Operation4", "Product"}, {"Operation5", "Quotient"},
	} {
		if e, err = lambdabiz.CallTask[OperationResult](o, call.id, call.task, a); err != nil {
			return e, err
		}
	}
	coolDown := 30 * time.Second
	if in.CoolDownSeconds > 0 {
		coolDown = time.Duration(in.CoolDownSeconds) * time.Second
	}
	if err := lambdabiz.Sleep(o, "30SecTimer", coolDown); err != nil {
		return e, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
	if err != nil {
		return e, err
	}
	if !approved {
		return e, ErrNotApproved
	}
	return e, nil
})

// ServiceInput is the input of RESTSequence.
type ServiceInput struct {
	URL      string // of the service, with a slash at its end
	Approves string // the id of the Sequence to approve
}

// ServiceResponse is what the service answers.
type ServiceResponse struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// RESTSequence calls a REST service in all the ways of the original, then approves a Sequence.
var RESTSequence = lambdabiz.Define("RESTSequence", func(o lambdabiz.Context, in ServiceInput) (ServiceResponse, error) {
	var d ServiceResponse
	if _, err := rest.Get[ServiceResponse](o, "ServiceOperation1", in.URL+"employees"); err != nil {
		return d, err
	}
	if _, err := rest.Post[ServiceResponse](o, "ServiceOperation2", in.URL+"create", nil); err != nil {
		return d, err
	}
	if _, err := rest.Put[ServiceResponse](o, "ServiceOperation3", in.URL+"update/21", nil); err != nil {
		return d, err
	}
	d, err := rest.Delete[ServiceResponse](o, "ServiceOperation4", in.URL+"delete/21")
	if err != nil {
		return d, err
	}
	return d, lambdabiz.RaiseEvent(o, "Approval", in.Approves, "Approve", true)
})
