package fakelambda

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Func is a function in this process. Its payload and result are JSON, clientContext is the JSON that the
// caller gave, or nil. The context ends with the function's timeout; a panic is an error of the function.
type Func func(ctx context.Context, payload, clientContext []byte) ([]byte, *FunctionError)

// FunctionError is what a function answers instead of a result.
type FunctionError struct {
	Message    string   `json:"errorMessage"`
	Type       string   `json:"errorType,omitempty"`
	StackTrace []string `json:"stackTrace,omitempty"`

	// Handled sets the header X-Amz-Function-Error to Handled instead of Unhandled. Lambda says
	// Unhandled for what handlers of today's runtimes return.
	Handled bool `json:"-"`
}

// Function is one that the server knows: Func or Bootstrap must be set.
type Function struct {
	// Name is without ARN, version or alias.
	Name string
	// Func runs in this process.
	Func Func
	// Bootstrap is the path of a compiled program that speaks the Runtime API. Each environment is a
	// process of it.
	Bootstrap string
	// Env is added to what Lambda sets, as NAME=value. Nothing of this process's environment is passed on.
	Env []string
	// Timeout limits an invocation; a process that is over it is killed. The default is 3 s, as
	// Lambda's, the most 900 s.
	Timeout time.Duration
	// MemoryMB is told to the process. The default is 128.
	MemoryMB int
	// Concurrency is how many invocations may run at the same time. More are throttled. The default is 10.
	Concurrency int
	// Qualifiers are the versions and aliases that exist besides $LATEST.
	Qualifiers []string
	// Freeze stops a process between its invocations, as Lambda does, on systems with SIGSTOP. On others it
	// does nothing.
	Freeze bool
	// OnStart is called when an invocation has been handed to an environment or is about to call Func. It
	// must return quickly.
	OnStart func(Invocation)
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

func (f *Function) check() error {
	switch {
	case !functionName.MatchString(f.Name):
		return fmt.Errorf("register function %q: a name has 1 to 64 letters, digits, hyphens and underscores", f.Name)
	case (f.Func == nil) == (f.Bootstrap == ""):
		return fmt.Errorf("register function %s: set either Func or Bootstrap", f.Name)
	case f.Timeout < 0 || f.Timeout > MaxTimeout:
		return fmt.Errorf("register function %s: the timeout is %v, it must be from 0 to %v", f.Name, f.Timeout, MaxTimeout)
	case f.Concurrency < 0 || f.MemoryMB < 0:
		return fmt.Errorf("register function %s: Concurrency and MemoryMB must be positive, or 0 for their defaults", f.Name)
	}
	return nil
}

// Invocation is one that was accepted.
type Invocation struct {
	RequestID     string
	Payload       []byte
	ClientContext []byte // JSON; nil without one
	Qualifier     string // $LATEST without one
	Async         bool
	Attempt       int // from 1; more only for asynchronous events
}

// Stats counts what happened to a function.
type Stats struct {
	Invocations  int // that were run, the attempts of an event each for itself
	ColdStarts   int // environments that were started for an invocation
	WarmStarts   int // invocations that found an environment
	Throttles    int // refused because all environments were busy, without injected ones
	Errors       int // invocations that ended with a FunctionError
	Environments int // processes that live now
}

// function is a registered one with its environments.
type function struct {
	Function

	s *Server

	mu     sync.Mutex
	stats  Stats
	faults []Fault
	log    []Invocation
	busy   int
	idle   []*environment
	live   map[*environment]bool
	number int
}

// answer is what an invocation came to.
type answer struct {
	payload []byte
	fault   string // "", Handled or Unhandled
	logTail []byte
}

var errThrottled = errors.New("all environments are busy")

// run finds an environment and performs the invocation. It ends with the invocation, not with its caller.
func (f *function) run(inv Invocation) (answer, error) {
	env, err := f.acquire(inv)
	if err != nil {
		return answer{}, err
	}
	var out answer
	if env == nil {
		out = f.call(inv)
		f.release(nil, out)
		return out, nil
	}
	out, reusable := env.serve(inv)
	if !reusable {
		env.kill()
		<-env.exited
		env = nil
	}
	f.release(env, out)
	return out, nil
}

func (f *function) acquire(inv Invocation) (*environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.s.ctx.Err(); err != nil {
		return nil, err
	}
	if f.busy >= f.Concurrency {
		f.stats.Throttles++
		return nil, errThrottled
	}
	var env *environment
	switch {
	case f.Func != nil:
	case len(f.idle) > 0:
		f.stats.WarmStarts++
		env = f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
	default:
		f.number++
		started, err := startEnvironment(f, f.number)
		if err != nil {
			return nil, err
		}
		f.stats.ColdStarts++
		env = started
		f.live[env] = true
	}
	f.busy++
	f.stats.Invocations++
	f.log = append(f.log, inv)
	return env, nil
}

func (f *function) release(env *environment, out answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy--
	if out.fault != "" {
		f.stats.Errors++
	}
	if env != nil && f.live[env] {
		f.idle = append(f.idle, env)
	}
}

// gone forgets an environment whose process has ended.
func (f *function) gone(env *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.live, env)
	f.idle = slices.DeleteFunc(f.idle, func(e *environment) bool { return e == env })
}

func (f *function) environments() []*environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*environment, 0, len(f.live))
	for env := range f.live {
		list = append(list, env)
	}
	return list
}

// call performs an invocation of a Go function.
func (f *function) call(inv Invocation) answer {
	ctx, cancel := context.WithTimeout(f.s.ctx, f.Timeout)
	defer cancel()
	done := make(chan answer, 1)
	f.started(inv)
	go func() {
		out := answer{fault: unhandled, payload: exitError(inv.RequestID, "the function ended its goroutine")}
		defer func() {
			if p := recover(); p != nil {
				out.payload = encodeError(FunctionError{Message: fmt.Sprint(p), Type: fmt.Sprintf("%T", p)})
			}
			done <- out
		}()
		result, fault := f.Func(ctx, slices.Clone(inv.Payload), slices.Clone(inv.ClientContext))
		out = answerOf(result, fault)
	}()
	select {
	case out := <-done:
		return out
	case <-ctx.Done():
		return answer{fault: unhandled, payload: timeoutError(inv.RequestID, f.Timeout)}
	}
}

func answerOf(result []byte, fault *FunctionError) answer {
	switch {
	case fault != nil && fault.Handled:
		return answer{fault: handled, payload: encodeError(*fault)}
	case fault != nil:
		return answer{fault: unhandled, payload: encodeError(*fault)}
	case len(result) > MaxResponseBytes:
		return answer{fault: unhandled, payload: tooLargeError(len(result))}
	default:
		return answer{payload: result}
	}
}

func (f *function) started(inv Invocation) {
	if f.OnStart != nil {
		f.OnStart(inv)
	}
}
