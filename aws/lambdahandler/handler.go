package lambdahandler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
)

// Config sets up a [Handler]. Backend and Register are required.
type Config struct {
	// Backend is the backend on Amazon SWF, opened once for the process. Pulse serves its task list.
	Backend *swf.Backend

	// Register is what orchestrations need: definitions, tasks, error types, a rest.Client.
	Register []lambdabiz.Registrable

	// Names are the definitions that a request to Drive may name. The first one is taken when it names none.
	Names []string

	// LambdaRoles are the roles, by ARN, that a request to Drive may choose for the orchestration that it starts. The
	// default is none: the backend's own role is used.
	LambdaRoles []string

	// Engine is the configuration of the engines. The default of DrainTimeout is here a third of Margin, at most 20 s.
	Engine lambdabiz.Config

	// Margin is the time before the invocation's deadline in which no poll begins any more. The default, and for the
	// real service the least that makes sense, is 75 s: a poll takes up to 70 s.
	Margin time.Duration

	// StayFor is how long Drive stays for something that has a time: when all timers, time-outs and next attempts
	// that an orchestration waits for are further away, and no task, call or child of it is at work, the call
	// returns. A wait for an event has no time of its own. The default is one minute. A negative one means to stay until
	// the time is up.
	StayFor time.Duration
}

// Handler has the handlers. One invocation runs at a time, as in Lambda; the process may be frozen between two.
type Handler struct {
	config Config
	pulse  *lambdabiz.Engine
}

// pollLimit is what a poll may take: SWF holds it for 60 s, the client waits for 70 s, and the rest is for the answers.
const pollLimit = 75 * time.Second

// New checks the configuration, without I/O.
func New(c Config) (*Handler, error) {
	switch {
	case c.Backend == nil:
		return nil, errors.New("configure Lambda handler: Backend is nil (open one with swf.Open)")
	case len(c.Register) == 0:
		return nil, errors.New("configure Lambda handler: Register is empty (list the definitions and tasks)")
	case c.Margin < 0:
		return nil, fmt.Errorf("configure Lambda handler: Margin is %v, it must be positive, or 0 for %v", c.Margin, pollLimit)
	}
	if c.Margin == 0 {
		c.Margin = pollLimit
	}
	if c.StayFor == 0 {
		c.StayFor = time.Minute
	}
	if c.Engine.DrainTimeout == 0 {
		c.Engine.DrainTimeout = min(c.Margin/3, 20*time.Second)
	}
	c.Register, c.Names, c.LambdaRoles = slices.Clone(c.Register), slices.Clone(c.Names), slices.Clone(c.LambdaRoles)
	h := &Handler{config: c}
	var err error
	h.pulse, err = h.engine(c.Backend)
	return h, err
}

// engine makes an engine on a view of the backend.
func (h *Handler) engine(b lambdabiz.Backend) (*lambdabiz.Engine, error) {
	e, err := lambdabiz.New(b, h.config.Engine)
	if err != nil {
		return nil, fmt.Errorf("configure Lambda handler: %w", err)
	}
	if err := e.Register(h.config.Register...); err != nil {
		return nil, fmt.Errorf("configure Lambda handler: %w", err)
	}
	return e, nil
}

// Pulse serves all orchestrations on the backend's task list until [Config.Margin] before the deadline of ctx, then
// waits for the polls in flight. What it is invoked with is not looked at.
func (h *Handler) Pulse(ctx context.Context) error {
	working, stop, err := h.untilMargin(ctx)
	if err != nil {
		return &RunError{Err: err}
	}
	defer stop()
	err = h.pulse.Run(working)
	h.quiesce(ctx)
	if err != nil {
		return &RunError{Err: err}
	}
	return nil
}

// untilMargin is ctx without the margin.
func (h *Handler) untilMargin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		working, stop := context.WithCancel(ctx)
		return working, stop, nil
	}
	if left := time.Until(deadline); left <= h.config.Margin {
		return nil, nil, fmt.Errorf("the invocation has %v left, and needs %v for a poll alone: "+
			"give the function a timeout of %v or more", left.Round(time.Millisecond), h.config.Margin,
			(h.config.Margin * 8 / 5).Round(time.Second))
	}
	working, stop := context.WithDeadline(ctx, deadline.Add(-h.config.Margin))
	return working, stop, nil
}

// quiesce waits for the polls in flight: what they bring to a frozen process would be lost for a while.
func (h *Handler) quiesce(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, deadline.Add(-min(time.Second, h.config.Margin/10)))
		defer stop()
	}
	h.config.Backend.Quiesce(ctx)
}
