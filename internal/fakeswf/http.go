package fakeswf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const targetPrefix = "SimpleWorkflowService."

// errLost is a connection that breaks before the answer.
var errLost = errors.New("fakeswf: the connection broke before the answer")

// handlers are the actions; they run with the server's lock held.
var handlers = map[string]func(*Server, object) (object, error){
	"RegisterDomain": (*Server).registerDomain, "DescribeDomain": (*Server).describeDomain, "ListDomains": (*Server).listDomains,
	"DeprecateDomain": (*Server).deprecateDomain, "UndeprecateDomain": (*Server).undeprecateDomain,

	"RegisterWorkflowType": (*Server).registerWorkflowType, "DescribeWorkflowType": (*Server).describeWorkflowType,
	"ListWorkflowTypes": (*Server).listWorkflowTypes, "DeprecateWorkflowType": (*Server).deprecateWorkflowType,
	"UndeprecateWorkflowType": (*Server).undeprecateWorkflowType, "DeleteWorkflowType": (*Server).deleteWorkflowType,

	"RegisterActivityType": (*Server).registerActivityType, "DescribeActivityType": (*Server).describeActivityType,
	"ListActivityTypes": (*Server).listActivityTypes, "DeprecateActivityType": (*Server).deprecateActivityType,
	"UndeprecateActivityType": (*Server).undeprecateActivityType, "DeleteActivityType": (*Server).deleteActivityType,

	"StartWorkflowExecution": (*Server).startWorkflowExecution, "SignalWorkflowExecution": (*Server).signalWorkflowExecution,
	"RequestCancelWorkflowExecution": (*Server).requestCancelWorkflowExecution,
	"TerminateWorkflowExecution":     (*Server).terminateWorkflowExecution,
	"DescribeWorkflowExecution":      (*Server).describeWorkflowExecution,
	"GetWorkflowExecutionHistory":    (*Server).getWorkflowExecutionHistory,

	"RespondDecisionTaskCompleted": (*Server).respondDecisionTaskCompleted,
	"RecordActivityTaskHeartbeat":  (*Server).recordActivityTaskHeartbeat,
	"RespondActivityTaskCompleted": (*Server).respondActivityTaskCompleted,
	"RespondActivityTaskFailed":    (*Server).respondActivityTaskFailed,
	"RespondActivityTaskCanceled":  (*Server).respondActivityTaskCanceled,

	"ListOpenWorkflowExecutions":    (*Server).listOpenWorkflowExecutions,
	"ListClosedWorkflowExecutions":  (*Server).listClosedWorkflowExecutions,
	"CountOpenWorkflowExecutions":   (*Server).countOpenWorkflowExecutions,
	"CountClosedWorkflowExecutions": (*Server).countClosedWorkflowExecutions,
	"CountPendingDecisionTasks":     (*Server).countPendingDecisionTasks,
	"CountPendingActivityTasks":     (*Server).countPendingActivityTasks,
}

// polls wait, so they take the lock themselves.
var polls = map[string]func(*Server, context.Context, object) (object, error){
	"PollForDecisionTask": (*Server).pollForDecisionTask,
	"PollForActivityTask": (*Server).pollForActivityTask,
}

// ServeHTTP answers one request of the JSON 1.0 protocol. Signatures are not checked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, answer, err := s.serve(r.Context(), r.Header, body)
	if err != nil {
		panic(http.ErrAbortHandler) // net/http breaks the connection
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer))) // AWS's answers have it: no client waits for a last chunk
	w.WriteHeader(status)
	if _, err := w.Write(answer); err != nil { //nolint:gosec // JSON under its own content type, not HTML
		panic(http.ErrAbortHandler) // the client is gone, as above
	}
}

// Transport calls the server in the caller's goroutine, without sockets: it blocks only on channels and timers, so it works
// inside a bubble of testing/synctest. A request whose context ends returns the context's error.
func (s *Server) Transport() http.RoundTripper {
	return transport{s}
}

type transport struct{ s *Server }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
	}
	status, answer, err := t.s.serve(r.Context(), r.Header, body)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	header.Set("Content-Type", "application/x-amz-json-1.0")
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)), Request: r,
	}, nil
}

// serve answers one request; an error means that no answer reaches the client.
func (s *Server) serve(ctx context.Context, header http.Header, body []byte) (status int, answer []byte, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	action := strings.TrimPrefix(header.Get("X-Amz-Target"), targetPrefix)
	fault := s.count(Call{Action: action, Body: body, Agent: header.Get("User-Agent")})
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
	var result object
	if fault.Throttle {
		err = faultf("ThrottlingException", "Rate exceeded")
	} else {
		result, err = s.do(ctx, action, body)
		if fault.Twice {
			result, err = s.do(ctx, action, body)
		}
	}
	if fault.Stale > 0 {
		result = stale(body, result, fault.Stale)
	}
	switch {
	case ctx.Err() != nil:
		return 0, nil, ctx.Err()
	case fault.Lose:
		return 0, nil, errLost
	case fault.Status != 0:
		err = &apiError{kind: "InternalFailure", message: "fault injected", status: fault.Status}
	}
	return encode(result, err)
}

// stale is a page of a history without the newest events, but never without any.
func stale(body []byte, result object, missing int) object {
	events, ok := result["events"].([]any)
	in := object{}
	if err := json.Unmarshal(body, &in); err != nil || !ok {
		return result
	}
	missing = min(missing, len(events)-1)
	switch {
	case missing <= 0:
	case in.flag("reverseOrder") && !in.has("nextPageToken"):
		result["events"] = events[missing:]
	case !in.flag("reverseOrder") && !result.has("nextPageToken"):
		result["events"] = events[:len(events)-missing]
	}
	return result
}

func (s *Server) count(call Call) Fault {
	s.counting.Lock()
	s.calls[call.Action]++
	call.Number = s.calls[call.Action]
	if s.cfg.LogCalls {
		s.log = append(s.log, call)
	}
	s.counting.Unlock()
	if s.cfg.Fault == nil {
		return Fault{}
	}
	return s.cfg.Fault(call)
}

func encode(result object, err error) (status int, answer []byte, _ error) {
	if err == nil {
		if result == nil {
			return http.StatusOK, nil, nil
		}
		answer, err = json.Marshal(result)
		return http.StatusOK, answer, err
	}
	var known *apiError
	if !errors.As(err, &known) {
		known = &apiError{kind: "InternalFailure", message: err.Error(), status: http.StatusInternalServerError}
	}
	answer, err = json.Marshal(map[string]string{"__type": known.wireType(), "message": known.message})
	return known.status, answer, err
}

// do checks a request against the service model and runs it.
func (s *Server) do(ctx context.Context, action string, body []byte) (object, error) {
	handle, poll := handlers[action], polls[action]
	if handle == nil && poll == nil {
		return nil, faultf("UnknownOperationException", "%s is not an operation of this fake", action)
	}
	if len(body) > s.limits.RequestBytes { // the limit is in the developer guide; the kind of the error is assumed
		return nil, &apiError{
			kind: "RequestEntityTooLargeException", message: fmt.Sprintf("Request of %d bytes", len(body)),
			status: http.StatusRequestEntityTooLarge,
		}
	}
	in, err := decode(action, body)
	if err != nil {
		return nil, err
	}
	if poll != nil {
		return poll(s, ctx, in)
	}
	s.lock()
	defer s.unlock()
	if s.closed {
		return nil, errClosed
	}
	return handle(s, in)
}

var errClosed = &apiError{kind: "ServiceUnavailable", message: "the fake is closed", status: http.StatusServiceUnavailable}

func decode(action string, body []byte) (object, error) {
	in := object{}
	if len(bytes.TrimSpace(body)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&in); err != nil {
			return nil, faultf("SerializationException", "%v", err)
		}
	}
	if problems := model().check(model().Operations[action][0], in, false); problems != nil {
		return nil, invalidMembers(problems)
	}
	return in, nil
}
