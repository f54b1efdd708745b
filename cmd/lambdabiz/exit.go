package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// The exit codes. They are part of the interface: scripts branch on them.
const (
	exitOK          = 0
	exitError       = 1   // anything else that went wrong; an orchestration that ended without success
	exitUsage       = 2   // a flag, an argument or an input that makes no sense
	exitNotFound    = 3   // there is no such orchestration
	exitConflict    = 4   // it has ended, is still open, or its id is used
	exitProblems    = 5   // doctor or check has found something
	exitInterrupted = 130 // Ctrl-C, as shells count it; 143 after SIGTERM
)

const exitCodesHelp = `Exit codes:
  0    done
  1    an error; or an orchestration that was waited for ended without success
  2    wrong usage: a flag, an argument or an input
  3    no such orchestration
  4    a conflict: it has ended, it is still open, or its id is used
  5    doctor or check found problems
  130  interrupted by Ctrl-C (143 by SIGTERM)`

// usageError is a mistake in how the program was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// quietError ends the program with a code, after its command has said everything.
type quietError struct {
	code int
	text string
}

func (e *quietError) Error() string { return e.text }

func exitCode(ctx context.Context, err error) int {
	var usage *usageError
	var codec *codecError
	var quiet *quietError
	var interrupt *interruptError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return quiet.code
	case errors.As(err, &usage), errors.As(err, &codec), errors.Is(err, lambdabiz.ErrInvalidID),
		errors.Is(err, lambdabiz.ErrTooLarge), errors.Is(err, lambdabiz.ErrInvalidPayload):
		return exitUsage
	case errors.Is(err, lambdabiz.ErrNotFound):
		return exitNotFound
	case errors.Is(err, lambdabiz.ErrClosed), errors.Is(err, lambdabiz.ErrExists),
		errors.Is(err, lambdabiz.ErrOpen), errors.Is(err, lambdabiz.ErrMode):
		return exitConflict
	case errors.As(err, &interrupt), errors.As(context.Cause(ctx), &interrupt):
		if interrupt.signal == syscall.SIGTERM {
			return 128 + int(syscall.SIGTERM)
		}
		return exitInterrupted
	default:
		return exitError
	}
}

// describe is the one line that is written for an error.
func describe(ctx context.Context, err error) string {
	var usage *usageError
	var interrupt *interruptError
	switch {
	case errors.As(err, &usage):
		return "lambdabiz: " + clean(err.Error()) + " (see --help)"
	case errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &interrupt):
		return "lambdabiz: " + interrupt.Error()
	default:
		return "lambdabiz: " + clean(err.Error()) + advice(err)
	}
}

// advice says in the words of this program what to do about a refusal that a store would lift.
func advice(err error) string {
	refused, ok := errors.AsType[*lambdabiz.UnsupportedError](err)
	if !ok || refused.Backend != "swf" {
		return ""
	}
	switch refused.Feature {
	case lambdabiz.FeatureStartPolicy:
		return " (see --store; or --on-used-id reject-open or restart-ended)"
	case lambdabiz.FeatureBeforeStart, lambdabiz.FeatureList, lambdabiz.FeaturePurge:
		return " (see --store)"
	default:
		return ""
	}
}
