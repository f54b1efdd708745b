package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/rest"
)

// The orchestrations and the names of operations of the demo.
const (
	sequenceName = "Sequence3"
	serviceName  = "RESTSequence1"

	TimerID      = "30SecTimer"   // its name in the original; --timer sets how long it really takes
	ApproveEvent = "Approve"      // what Sequence3 waits for
	RaiseID      = "RaiseApprove" // by which RESTSequence1 raises it
)

// Numbers are what the demo computes with.
type Numbers struct{ Number1, Number2 int }

// OperationResult is what an operation made of the numbers.
type OperationResult struct {
	Number1, Number2 int
	Result           float64
}

// SequenceInput is the input of Sequence3.
type SequenceInput struct {
	Numbers
	Timer string `json:",omitempty"` //nolint:tagliatelle // how long 30SecTimer takes; 30 s when it is empty
}

// The tasks of Sequence3.
var (
	number = lambdabiz.NewTask("Number", func(_ context.Context, n Numbers) (Numbers, error) {
		return n, nil
	})
	sum = lambdabiz.NewTask("Sum", func(_ context.Context, n Numbers) (OperationResult, error) {
		return OperationResult{n.Number1, n.Number2, float64(n.Number1) + float64(n.Number2)}, nil
	})
	difference = lambdabiz.NewTask("Difference", func(_ context.Context, n Numbers) (OperationResult, error) {
		return OperationResult{n.Number1, n.Number2, float64(n.Number1) - float64(n.Number2)}, nil
	})
	product = lambdabiz.NewTask("Product", func(_ context.Context, n Numbers) (OperationResult, error) {
		return OperationResult{n.Number1, n.Number2, float64(n.Number1) * float64(n.Number2)}, nil
	})
	quotient = lambdabiz.NewTask("Quotient", func(_ context.Context, n Numbers) (OperationResult, error) {
		if n.Number2 == 0 {
			return OperationResult{}, fmt.Errorf("divide %d by Number2: it is 0", n.Number1)
		}
		return OperationResult{n.Number1, n.Number2, float64(n.Number1) / float64(n.Number2)}, nil
	})
)

// Code is what the demo registers, but for the client that makes its calls.
var Code = lambdabiz.Registrables{Sequence3, restSequence1, number, sum, difference, product, quotient}

var errNotApproved = errors.New("not approved")

// Sequence3 computes with four tasks what a first one gives, cools down, and waits for an approval.
var Sequence3 = lambdabiz.Define(sequenceName, func(o lambdabiz.Context, in SequenceInput) (OperationResult, error) {
	var none OperationResult
	pause := 30 * time.Second
	if in.Timer != "" {
		var err error
		if pause, err = time.ParseDuration(in.Timer); err != nil {
			return none, fmt.Errorf("read Timer of the input: %w", err)
		}
	}
	a, err := lambdabiz.Call(o, "Operation1", number, in.Numbers)
	if err != nil {
		return none, err
	}
	if _, err := lambdabiz.Call(o, "Operation2", sum, a); err != nil {
		return none, err
	}
	if _, err := lambdabiz.Call(o, "Operation3", difference, a); err != nil {
		return none, err
	}
	if _, err := lambdabiz.Call(o, "Operation4", product, a); err != nil {
		return none, err
	}
	e, err := lambdabiz.Call(o, "Operation5", quotient, a)
	if err != nil {
		return none, err
	}
	if err := lambdabiz.Sleep(o, TimerID, pause); err != nil {
		return none, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, ApproveEvent)
	if err != nil {
		return none, err
	}
	if !approved {
		return none, errNotApproved
	}
	return e, nil
})

// ServiceInput is the input of RESTSequence1.
type ServiceInput struct {
	URL     string // where the service is
	Approve string // the orchestration that gets the event
}

// ServiceResult says whether the approval has reached an open orchestration.
type ServiceResult struct{ Approved bool }

// patient waits for a service that is away for a while: while a killed demo is not started again,
// another one on the same file may run its orchestration.
var patient = lambdabiz.Retry(lambdabiz.Backoff{Attempts: 100, Initial: 500 * time.Millisecond, Max: 10 * time.Second})

// restSequence1 calls a service four times, and approves what Sequence3 has computed.
var restSequence1 = lambdabiz.Define(serviceName, func(o lambdabiz.Context, in ServiceInput) (ServiceResult, error) {
	var none ServiceResult
	if _, err := rest.Get[[]Employee](o, "ServiceOperation1", in.URL+"employees", patient); err != nil {
		return none, err
	}
	ada := Employee{Name: "Ada", Salary: 4200, Age: 36}
	if _, err := rest.Post[Employee](o, "ServiceOperation2", in.URL+"create", ada, patient); err != nil {
		return none, err
	}
	ada.Salary = 4600
	if _, err := rest.Put[Employee](o, "ServiceOperation3", in.URL+"update/21", ada, patient); err != nil {
		return none, err
	}
	if _, err := rest.Delete[Removed](o, "ServiceOperation4", in.URL+"delete/21", patient); err != nil {
		return none, err
	}
	err := lambdabiz.RaiseEvent(o, RaiseID, in.Approve, ApproveEvent, true)
	if errors.Is(err, lambdabiz.ErrClosed) {
		return ServiceResult{Approved: false}, nil // nobody waits for it any more
	}
	return ServiceResult{Approved: err == nil}, err
})

// Operations are the ids of all operations of the demo, in order.
var Operations = []string{
	"Operation1", "Operation2", "Operation3", "Operation4", "Operation5", TimerID, ApproveEvent,
	"ServiceOperation1", "ServiceOperation2", "ServiceOperation3", "ServiceOperation4", RaiseID,
}
