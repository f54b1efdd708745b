package fakeswf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxLambda is how long a Lambda task may run.
const maxLambda = 15 * time.Minute

// lambdaTask is a Lambda function that runs.
type lambdaTask struct {
	scheduledID int64
	startedID   int64
}

// scheduleLambdaFunction records Scheduled and Started at once; "This can be any integer from 1-900 (1s-15m). If no value is
// supplied, then a default value of 900s is assumed"; that other values are a ValidationException is our assumption.
func (s *Server) scheduleLambdaFunction(ex *execution, answer decisionAnswer, in object) string {
	id, role := in.text("id"), ex.config.lambdaRole
	switch {
	case ex.lambdas[id] != nil:
		return "ID_ALREADY_IN_USE"
	case len(ex.lambdas) >= s.limits.OpenLambdas:
		return "OPEN_LAMBDA_FUNCTIONS_LIMIT_EXCEEDED"
	case role == "" && s.cfg.MissingRole == MissingRoleFailsSchedule:
		return "LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION"
	}
	attributes := answer.of(in, "id", "name", "control", "input", "startToCloseTimeout")
	l := &lambdaTask{scheduledID: s.add(ex, "LambdaFunctionScheduled", attributes)}
	if err := s.assume(role); err != nil {
		s.add(ex, "StartLambdaFunctionFailed", object{
			"cause": "ASSUME_ROLE_FAILED", "message": err.Error(), "scheduledEventId": l.scheduledID,
		})
		s.wake(ex)
		return ""
	}
	l.startedID = s.add(ex, "LambdaFunctionStarted", object{"scheduledEventId": l.scheduledID})
	if !ex.isOpen() {
		return ""
	}
	ex.lambdas[id] = l
	s.runLambda(ex, l, in)
	return ""
}

func (s *Server) assume(role string) error {
	switch {
	case role == "":
		return errors.New("the execution has no Lambda role")
	case s.cfg.AssumeRole != nil:
		return s.cfg.AssumeRole(role)
	default:
		return nil
	}
}

// runLambda calls the function in a goroutine that Close waits for. A function goes on when its execution is closed, as on AWS;
// its result is dropped.
func (s *Server) runLambda(ex *execution, l *lambdaTask, in object) {
	ctx, cancel := context.WithCancel(s.done)
	d, limited := seconds(in.text("startToCloseTimeout"))
	if !limited {
		d = maxLambda
	}
	deadline := s.after(d, func() {
		cancel()
		s.endLambda(ex, in, l, "LambdaFunctionTimedOut", object{"timeoutType": "START_TO_CLOSE"})
	})
	s.lambdas.Go(func() {
		defer cancel()
		result, err := s.invoke(ctx, in)
		s.lock()
		defer s.unlock()
		s.stop(deadline)
		switch {
		case s.closed:
		case err != nil:
			s.endLambda(ex, in, l, "LambdaFunctionFailed", failure(err))
		default:
			s.endLambda(ex, in, l, "LambdaFunctionCompleted", object{"result": result})
		}
	})
}

// invoke calls the function; a panic is its error.
func (s *Server) invoke(ctx context.Context, in object) (result string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if s.cfg.Lambda == nil {
		return "", &LambdaError{Reason: "ResourceNotFoundException", Details: "Function not found: " + in.text("name")}
	}
	result, err = s.cfg.Lambda(ctx, in.text("name"), in.text("input"))
	if err == nil && model().check("Data", result, false) != nil { // the kind of this failure is assumed
		return "", &LambdaError{Reason: "ResultTooLarge", Details: fmt.Sprintf("the result has %d bytes", len(result))}
	}
	return result, err
}

// failure turns a function's error into reason and details, cut to their limits.
func failure(err error) object {
	var known *LambdaError
	if !errors.As(err, &known) {
		details, marshalErr := json.Marshal(map[string]string{"errorMessage": err.Error()})
		if marshalErr != nil { // strings always marshal
			panic(marshalErr)
		}
		known = &LambdaError{Reason: "UnhandledError", Details: string(details)}
	}
	return object{"reason": cut(known.Reason, 256), "details": cut(known.Details, 32768)}
}

// cut shortens a text to a number of bytes, not within a character.
func cut(text string, length int) string {
	return strings.ToValidUTF8(text[:min(len(text), length)], "")
}

func (s *Server) endLambda(ex *execution, in object, l *lambdaTask, kind string, attributes object) {
	id := in.text("id")
	if ex.lambdas[id] != l {
		return // it has timed out already
	}
	delete(ex.lambdas, id)
	s.add(ex, kind, attributes.and(object{"scheduledEventId": l.scheduledID, "startedEventId": l.startedID}))
	s.wake(ex)
}
