package fakelambda

import (
	"net/http"
	"time"
)

// Drop says where a connection is cut.
type Drop int

// Where a connection can be cut: nowhere, before the function has run, or after it.
const (
	DropNothing Drop = iota
	DropRequest      // the function does not run
	DropAnswer       // the function has run, its answer is lost
)

// Fault is what happens to one request instead of, or after, its work.
type Fault struct {
	Status     int    // of the answer; 0 with Drop, or for a request that goes well
	Code       string // the name of the exception
	Message    string
	Reason     string        // of a throttle
	RetryAfter time.Duration // in whole seconds; 0 means no such header
	Drop       Drop
}

// Throttle is the fault of a function whose concurrency is used up.
func Throttle(retryAfter time.Duration) Fault {
	return Fault{
		Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate Exceeded.",
		Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", RetryAfter: retryAfter,
	}
}

// ServiceFault is an internal error of Lambda.
func ServiceFault() Fault {
	return Fault{Status: http.StatusInternalServerError, Code: "ServiceException", Message: "Service error."}
}

// Inject queues faults for the next requests to a function, one each. It reports whether there is such a
// function.
func (s *Server) Inject(name string, faults ...Fault) bool {
	f := s.function(name)
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, faults...)
	return true
}

func (f *function) nextFault() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) == 0 {
		return Fault{}
	}
	fault := f.faults[0]
	f.faults = f.faults[1:]
	return fault
}
