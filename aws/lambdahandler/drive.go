package lambdahandler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
)

// Request is what Drive is invoked with.
type Request struct {
	// OrchestrationID is the id of the orchestration, required. The first call with it starts the orchestration.
	OrchestrationID string `json:"orchestrationId"`
	// Name is the definition to start, one of [Config.Names]. The default is the first of them.
	Name string `json:"name,omitempty"`
	// Input is for the start. Later calls need not repeat it, and change nothing by it.
	Input lambdabiz.Payload `json:"input,omitempty"`
	// LambdaRole is the ARN of the role by which Amazon SWF invokes Lambda functions for the orchestration, one of
	// [Config.LambdaRoles]. The default is that of the backend. It is for the start, too.
	LambdaRole string `json:"lambdaRole,omitempty"`
}

// Drive starts the orchestration or goes on with it, for as long as the package's documentation says, and returns its
// state. The start is durable before anything runs, and idempotent by the id (where the backend has no store, only while
// the orchestration is open; see lambdabiz.UseExisting). Two calls with one id at a time share the work.
//
// Its error is a *RequestError, or a *RunError.
func (h *Handler) Drive(ctx context.Context, r Request) (*lambdabiz.State, error) {
	backend, err := h.check(&r)
	if err != nil {
		return nil, err
	}
	working, stop, err := h.untilMargin(ctx)
	if err != nil {
		return nil, &RunError{r.OrchestrationID, err}
	}
	defer stop()
	engine, err := lambdabiz.New(backend, h.config.Engine)
	if err != nil {
		return nil, &RunError{r.OrchestrationID, err}
	}
	state, err := start(ctx, engine, backend, &r)
	if err != nil {
		return nil, err
	}
	if state.Status.Ended() {
		return state, nil
	}
	if err := h.drive(working, state, backend); err != nil {
		h.quiesce(ctx)
		return nil, &RunError{r.OrchestrationID, err}
	}
	h.quiesce(ctx)
	state, err = latest(ctx, engine, state)
	if err != nil {
		return nil, &RunError{r.OrchestrationID, err}
	}
	return state, nil
}

// check fills the request in, and returns the backend with its role.
func (h *Handler) check(r *Request) (*swf.Backend, error) {
	if err := h.refuse(r); err != nil {
		return nil, err
	}
	backend, err := h.config.Backend.Serving("", r.LambdaRole)
	if err != nil {
		return nil, &RunError{r.OrchestrationID, err}
	}
	return backend, nil
}

// refuse fills the request in, or says what is wrong with it.
func (h *Handler) refuse(r *Request) error {
	names := h.config.Names
	switch {
	case r.OrchestrationID == "":
		return &RequestError{"orchestrationId", "it is missing"}
	case r.Name == "" && len(names) == 0:
		return &RequestError{"name", "this function starts no orchestrations (see lambdahandler.Config.Names)"}
	case r.Name != "" && !slices.Contains(names, r.Name):
		return &RequestError{"name", fmt.Sprintf("%q is none of %q", r.Name, names)}
	case r.LambdaRole != "" && !slices.Contains(h.config.LambdaRoles, r.LambdaRole):
		return &RequestError{"lambdaRole", fmt.Sprintf(
			"%q is not allowed (see lambdahandler.Config.LambdaRoles)", r.LambdaRole)}
	}
	if r.Name == "" {
		r.Name = names[0]
	}
	if len(r.Input) == 0 {
		r.Input = lambdabiz.Payload("null")
	}
	return nil
}

// start makes sure that the orchestration is there, and returns what is known of it.
func start(ctx context.Context, e *lambdabiz.Engine, b *swf.Backend, r *Request) (*lambdabiz.State, error) {
	state, err := e.State(ctx, r.OrchestrationID)
	if err == nil {
		return state, adopt(b, state, r)
	}
	switch {
	case errors.Is(err, lambdabiz.ErrTooLarge):
		return nil, &RequestError{"orchestrationId", err.Error()}
	case !errors.Is(err, lambdabiz.ErrNotFound):
		return nil, refused(r, err)
	}
	list := listOf(r.OrchestrationID)
	policy := lambdabiz.UseExisting
	if _, no := b.Describe().Refuses[lambdabiz.FeatureStartPolicy]; no {
		policy = lambdabiz.RestartEnded
	}
	run, err := e.StartByName(ctx, r.Name, r.OrchestrationID, r.Input, lambdabiz.OnQueue(list), lambdabiz.OnUsedID(policy))
	if err != nil {
		return nil, refused(r, err)
	}
	return &lambdabiz.State{RunInfo: lambdabiz.RunInfo{
		ID: r.OrchestrationID, Name: r.Name, RunID: run.RunID(), Status: lambdabiz.StatusScheduled, Queue: list,
	}}, nil
}

// adopt refuses an orchestration that this handler must not drive.
func adopt(b *swf.Backend, s *lambdabiz.State, r *Request) error {
	switch {
	case s.Status.Ended():
		return nil
	case s.Name != r.Name:
		return &RequestError{"name", fmt.Sprintf("orchestration %s is a %q, not a %q", s.ID, s.Name, r.Name)}
	case s.Mode == lambdabiz.ModeHand:
		return &RequestError{"orchestrationId", fmt.Sprintf("orchestration %s is driven by hand", s.ID)}
	case s.Queue == "" || s.Queue == b.TaskList():
		return &RequestError{"orchestrationId", fmt.Sprintf(
			"orchestration %s is on the task list that all workers serve: it needs no driving", s.ID)}
	}
	return nil
}

// refused tells errors of the request from others.
func refused(r *Request, err error) error {
	switch {
	case errors.Is(err, lambdabiz.ErrInvalidID):
		return &RequestError{"orchestrationId", err.Error()}
	case errors.Is(err, lambdabiz.ErrInvalidPayload), errors.Is(err, lambdabiz.ErrTooLarge):
		return &RequestError{"input", err.Error()}
	case errors.Is(err, lambdabiz.ErrExists), errors.Is(err, lambdabiz.ErrMode):
		return &RequestError{"orchestrationId", err.Error()}
	default:
		return &RunError{r.OrchestrationID, err}
	}
}

// listOf is the task list of an orchestration that is driven: its own, by name if the id is short, else by hash.
func listOf(id string) string {
	const room = 80 // what SWF forbids in a name is encoded as three characters, and 256 are allowed
	if len(id) <= room {
		return "drive-" + id
	}
	sum := sha256.Sum256([]byte(id))
	return "drive-" + hex.EncodeToString(sum[:])
}

// drive works on the orchestration's task list until there is nothing to stay for.
func (h *Handler) drive(ctx context.Context, state *lambdabiz.State, b *swf.Backend) error {
	view, err := b.Serving(state.Queue, "")
	if err != nil {
		return err
	}
	g := newGate(view, state, h.config.StayFor)
	engine, err := h.engine(g)
	if err != nil {
		return err
	}
	return engine.RunWhile(ctx, func(ctx context.Context) error {
		select {
		case <-g.left:
		case <-ctx.Done():
		}
		return nil
	})
}

// latest is the state at the end of the call. SWF's lists, where there is no store, lag behind: a run that has just
// begun is found by its run id.
func latest(ctx context.Context, e *lambdabiz.Engine, state *lambdabiz.State) (*lambdabiz.State, error) {
	now, err := e.State(ctx, state.ID)
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return e.StateOf(ctx, state.ID, state.RunID)
	}
	return now, err
}
