package backendtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The tasks that [HomeTask] knows.
const (
	taskEcho  = "backendtest-echo"  // gives its input back
	taskFail  = "backendtest-fail"  // fails
	taskSleep = "backendtest-sleep" // sleeps 100 s, or until its context ends
)

var errHomeTask = errors.New("the task has failed on purpose")

// HomeTask is what a home shall do as a task that no worker of the engine performs, where
// [Config.HomeTasks] is set. The names are of this package; for another one it returns an error.
func HomeTask(ctx context.Context, name, input string) (string, error) {
	switch name {
	case taskEcho:
		return input, nil
	case taskSleep:
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(100 * time.Second):
			return `"slept"`, nil
		}
	default:
		return "", errHomeTask
	}
}

var (
	taskRule = performing(lambdabiz.KindTask)
	bothRule = performing(lambdabiz.KindTask, lambdabiz.KindService)
)

var attemptChecks = []check{
	{name: "attempt/a worker's outcome comes back", where: taskRule, run: attemptLocal},
	{name: "attempt/an outcome outlives a holder that has read it", where: taskRule, run: attemptRead},
	{name: "attempt/one that failed comes back tried", where: taskRule, run: attemptFailed},
	{name: "attempt/one that could not begin does not count", where: taskRule, run: attemptNotBegun},
	{name: "attempt/a silent one is given up, its details stay", where: taskRule, run: attemptSilent},
	{name: "attempt/one whose time is over comes back tried", where: taskRule, run: attemptTimeout},
	{name: "attempt/of an operation that ended otherwise is stopped", where: taskRule, run: attemptStopped},
	{name: "attempt/of a run that has ended is nobody's", where: taskRule, run: attemptOrphan},
	{name: "attempt/tasks and services are apart", where: bothRule, run: attemptKinds},
	{name: "attempt/the home's own outcome comes back", where: taskRule, atHome: true, run: attemptHome},
	{name: "attempt/the home's own failures come back tried", where: taskRule, atHome: true, run: attemptHomeFailed},
	{name: "attempt/the home's own late result is dropped", where: taskRule, atHome: true, run: attemptHomeLate},
}

// asked is an operation that asks for an attempt.
func asked(number int64, attempt int) lambdabiz.Operation {
	o := pending(number, lambdabiz.KindTask)
	o.Status, o.StartedAt, o.Attempts, o.Input = lambdabiz.StatusScheduled, time.Time{}, attempt, text("in")
	return o
}

func attemptOf(o lambdabiz.Operation) lambdabiz.Attempt {
	return lambdabiz.Attempt{Operation: o.Number, Local: true, Timeout: 500 * time.Second, Key: "key of " + o.ID}
}

// ask commits an operation with its attempt; the claim ends.
func (x *holding) ask(o lambdabiz.Operation, a lambdabiz.Attempt) {
	x.h.Helper()
	v := x.try(lambdabiz.Commit{
		At: at(5), Operations: []lambdabiz.Operation{o}, Attempts: []lambdabiz.Attempt{a}, Started: true,
	})
	x.h.must(v.Err, "commit that asks for an attempt")
}

// nextTask takes an attempt, or returns nil.
func (h *harness) nextTask(kind lambdabiz.Kind) *lambdabiz.TaskClaim {
	h.Helper()
	q, ok := h.b.(lambdabiz.Queue)
	if !ok {
		h.Fatalf("Performs has tasks, and the backend is no Queue")
	}
	c, err := q.NextTask(background, lambdabiz.TaskRequest{Kind: kind, Names: []string{"x"}, Wait: time.Second})
	h.must(err, "NextTask")
	return c
}

func (h *harness) takeTask(kind lambdabiz.Kind) *lambdabiz.TaskClaim {
	h.Helper()
	c := h.nextTask(kind)
	if c == nil {
		h.Fatalf("NextTask: no attempt is there")
	}
	return c
}

func (h *harness) endTask(c *lambdabiz.TaskClaim, out lambdabiz.TaskOutcome) error {
	h.Helper()
	q, _ := h.b.(lambdabiz.Queue)
	return q.EndTask(background, c, out)
}

func (h *harness) beatTask(c *lambdabiz.TaskClaim, details lambdabiz.Payload) error {
	h.Helper()
	q, _ := h.b.(lambdabiz.Queue)
	return q.BeatTask(background, c, details)
}

var succeeded = lambdabiz.TaskOutcome{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload(`{"n":1}`)}

// gone expects that an attempt is nobody's any more.
func (h *harness) gone(c *lambdabiz.TaskClaim, why string) {
	h.Helper()
	h.is(h.beatTask(c, nil), lambdabiz.ErrFenced, "BeatTask: "+why)
	h.is(h.endTask(c, succeeded), lambdabiz.ErrFenced, "EndTask: "+why)
}

// ended claims the run again and expects how its first operation has come back.
func (x *holding) ended(now time.Time, status lambdabiz.Status, tried bool) lambdabiz.Operation {
	x.h.Helper()
	*x = *x.h.holdAt(x.worker, now, x.ID)
	o := x.Operations[0]
	if o.Status != status || (o.Tried != nil) != tried || o.StartedAt.IsZero() || o.EndedAt.Before(o.StartedAt) {
		x.h.Fatalf("operation: %+v, want %v and tried %v", o, status, tried)
	}
	return o
}

func attemptLocal(h *harness) {
	x := h.startHeld("a")
	o := asked(1, 1)
	o.ID, o.Input = "scope/a~1b: 日本", lambdabiz.Payload("\x00\xff not JSON")
	a := attemptOf(o)
	a.Heartbeat = 60 * time.Second
	x.ask(o, a)
	h.notDue(at(5), "a", "its attempt has not begun")
	c := h.takeTask(lambdabiz.KindTask)
	want(h, []string{c.ID, c.RunID, c.Key}, []string{"a", "a#1", "key of " + o.ID}, "run and key of the attempt")
	want(h, c.Operation.ID, o.ID, "Operation.ID")
	want(h, c.Operation.Kind, o.Kind, "Operation.Kind")
	want(h, c.Operation.Name, o.Name, "Operation.Name")
	want(h, string(c.Operation.Input), string(o.Input), "Operation.Input")
	want(h, c.Operation.Attempts, 1, "Operation.Attempts")
	want(h, c.Timeout, a.Timeout, "Timeout")
	want(h, c.Heartbeat, a.Heartbeat, "Heartbeat")
	if h.nextTask(lambdabiz.KindTask) != nil {
		h.Fatalf("NextTask: the attempt was given out twice")
	}
	h.must(h.beatTask(c, nil), "BeatTask")
	h.notDue(at(6), "a", "its attempt has not ended")
	foreign := *c
	foreign.Handle = nil
	h.is(h.endTask(&foreign, succeeded), lambdabiz.ErrFenced, "EndTask without the right to end it")
	h.must(h.endTask(c, succeeded), "EndTask")
	h.must(h.endTask(c, succeeded), "EndTask with the same outcome")
	got := x.ended(at(7), lambdabiz.StatusSucceeded, false)
	want(h, string(got.Result), string(succeeded.Result), "Result")
	want(h, got.Attempts, 1, "Attempts")
	h.is(h.beatTask(c, nil), lambdabiz.ErrFenced, "BeatTask of an attempt that has ended")
	x.end()
}

func attemptRead(h *harness) {
	x := h.startHeld("a")
	x.ask(asked(1, 1), attemptOf(asked(1, 1)))
	h.must(h.endTask(h.takeTask(lambdabiz.KindTask), succeeded), "EndTask")
	x.ended(at(7), lambdabiz.StatusSucceeded, false)
	x.die()
	x = h.hold(h.join(), "a")
	x.began("after the holder's death", lambdabiz.StatusSucceeded)
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}})
	o := h.load("a").Operations[0]
	want(h, o.Status, lambdabiz.StatusSucceeded, "stored status")
	want(h, string(o.Result), string(succeeded.Result), "stored result")
}

func attemptFailed(h *harness) {
	x := h.startHeld("a")
	x.ask(asked(1, 1), attemptOf(asked(1, 1)))
	failure := &lambdabiz.Failure{Message: "broken", Code: "task", Causes: []*lambdabiz.Failure{{Message: "deep"}}}
	h.must(h.endTask(h.takeTask(lambdabiz.KindTask), lambdabiz.TaskOutcome{
		Status: lambdabiz.StatusFailed, Error: failure, Tried: lambdabiz.Tried{RetryAfter: 3 * time.Second},
	}), "EndTask")
	o := x.ended(at(6), lambdabiz.StatusFailed, true)
	want(h, *o.Tried, lambdabiz.Tried{RetryAfter: 3 * time.Second}, "Tried")
	want(h, normalFailure(o.Error), failure, "Error")
	// Until the engine has decided, the home begins nothing by itself.
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}})
	if h.nextTask(lambdabiz.KindTask) != nil {
		h.Fatalf("NextTask: an attempt that nobody asked for")
	}
	backoff := asked(1, 1)
	backoff.DueAt = at(20)
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{backoff}})
	if h.nextTask(lambdabiz.KindTask) != nil {
		h.Fatalf("NextTask: an attempt before the engine asked for it")
	}
	x.ask(asked(1, 2), attemptOf(asked(1, 2)))
	c := h.takeTask(lambdabiz.KindTask)
	want(h, c.Operation.Attempts, 2, "Operation.Attempts of the next attempt")
	h.must(h.endTask(c, lambdabiz.TaskOutcome{
		Status: lambdabiz.StatusFailed, Error: failure, Tried: lambdabiz.Tried{Final: true},
	}), "EndTask")
	o = x.ended(at(21), lambdabiz.StatusFailed, true)
	want(h, *o.Tried, lambdabiz.Tried{Final: true}, "Tried")
	want(h, o.Attempts, 2, "Attempts")
	o.Status, o.Tried = lambdabiz.StatusFailed, nil // the engine's last word
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{o}})
	if got := x.Operations[0]; got.Tried != nil || got.Status != lambdabiz.StatusFailed {
		h.Fatalf("operation that the engine has ended: %+v", got)
	}
	x.end()
}

func attemptNotBegun(h *harness) {
	x := h.startHeld("a")
	x.ask(asked(1, 1), attemptOf(asked(1, 1)))
	for range 2 {
		h.must(h.endTask(h.takeTask(lambdabiz.KindTask), lambdabiz.TaskOutcome{
			Status: lambdabiz.StatusFailed, Error: &lambdabiz.Failure{Message: "unknown"}, Tried: lambdabiz.Tried{NotBegun: true},
		}), "EndTask")
		o := x.ended(at(6), lambdabiz.StatusFailed, true)
		want(h, *o.Tried, lambdabiz.Tried{NotBegun: true}, "Tried")
		x.ask(asked(1, 1), attemptOf(asked(1, 1))) // with the same number
	}
	h.must(h.endTask(h.takeTask(lambdabiz.KindTask), succeeded), "EndTask")
	x.ended(at(7), lambdabiz.StatusSucceeded, false)
}

func attemptSilent(h *harness) {
	x := h.startHeld("a")
	x.ask(asked(1, 1), attemptOf(asked(1, 1)))
	c := h.takeTask(lambdabiz.KindTask)
	if c.BeatEvery <= 0 || h.setTime == nil {
		return // the home does not ask for beats
	}
	h.must(h.beatTask(c, text("half")), "BeatTask")
	h.must(h.beatTask(c, text("more")), "BeatTask")
	now := at(6).Add(10 * c.BeatEvery)
	o := x.ended(now, lambdabiz.StatusTimeout, true)
	want(h, string(o.Details), string(text("more")), "Details of a silent attempt")
	if !errorIsDeadline(o.Error) {
		h.Fatalf("Error of a silent attempt: %+v", o.Error)
	}
	h.gone(c, "it was given up")
	next := asked(1, 2)
	next.Details = o.Details
	x.ask(next, attemptOf(next))
	want(h, string(h.takeTask(lambdabiz.KindTask).Operation.Details), string(text("more")), "Details of the next attempt")
}

func errorIsDeadline(f *lambdabiz.Failure) bool { return f != nil && hasCode(f, "deadlineExceeded") }

func attemptTimeout(h *harness) {
	x := h.startHeld("a")
	x.ask(asked(1, 1), attemptOf(asked(1, 1)))
	h.must(h.endTask(h.takeTask(lambdabiz.KindTask), lambdabiz.TaskOutcome{
		Status: lambdabiz.StatusTimeout, Error: lambdabiz.FailureOf(context.DeadlineExceeded),
	}), "EndTask")
	if o := x.ended(at(6), lambdabiz.StatusTimeout, true); !errorIsDeadline(o.Error) {
		h.Fatalf("Error: %+v", o.Error)
	}
}

func attemptStopped(h *harness) {
	x := h.startHeld("a")
	o := asked(1, 1)
	x.ask(o, attemptOf(o))
	c := h.takeTask(lambdabiz.KindTask)
	h.raise("a", "e") // something wakes the run, which cancels the task
	x = h.hold(x.worker, "a")
	o.Status, o.EndedAt, o.Error = lambdabiz.StatusCancelled, at(6), &lambdabiz.Failure{Message: "cancelled"}
	x.commit(lambdabiz.Commit{At: at(6), Operations: []lambdabiz.Operation{o}, Seen: x.last()})
	if err := h.beatTask(c, nil); !errors.Is(err, lambdabiz.ErrCancelled) && !errors.Is(err, lambdabiz.ErrFenced) {
		h.Fatalf("BeatTask of an attempt that shall end: %v", err)
	}
	if err := h.endTask(c, succeeded); err != nil && !errors.Is(err, lambdabiz.ErrFenced) {
		h.Fatalf("EndTask of an attempt that nobody wants: %v", err)
	}
	x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(2)}})
	if got := x.Operations[0]; got.Status != lambdabiz.StatusCancelled || len(got.Result) > 0 || got.Tried != nil {
		h.Fatalf("an operation that ended otherwise: %+v", got)
	}
	x.end()
}

func attemptOrphan(h *harness) {
	x := h.startHeld("a")
	x.ask(asked(1, 1), attemptOf(asked(1, 1)))
	c := h.takeTask(lambdabiz.KindTask)
	h.control(lambdabiz.ControlTerminate, "a")
	h.gone(c, "its run has ended")
}

func attemptKinds(h *harness) {
	x := h.startHeld("a")
	task, service := asked(1, 1), asked(2, 1)
	service.Kind = lambdabiz.KindService
	h.must(x.try(lambdabiz.Commit{
		At: at(5), Operations: []lambdabiz.Operation{task, service},
		Attempts: []lambdabiz.Attempt{attemptOf(task), attemptOf(service)},
	}).Err, "commit")
	for _, kind := range []lambdabiz.Kind{lambdabiz.KindService, lambdabiz.KindTask} {
		c := h.takeTask(kind)
		want(h, c.Operation.Kind, kind, "Operation.Kind")
		if h.nextTask(kind) != nil {
			h.Fatalf("NextTask: a second %v", kind)
		}
		h.must(h.endTask(c, succeeded), "EndTask")
	}
	x = h.holdAt(x.worker, at(6), "a")
	for _, o := range x.Operations {
		want(h, o.Status, lambdabiz.StatusSucceeded, "status of the "+o.Kind.String())
	}
}

// askHome commits an operation with an attempt of the home itself.
func (x *holding) askHome(number int64, name string, timeout time.Duration) lambdabiz.Operation {
	x.h.Helper()
	o := asked(number, 1)
	o.Name = name
	x.ask(o, lambdabiz.Attempt{Operation: number, Timeout: timeout, Key: "key"})
	return o
}

func attemptHome(h *harness) {
	x := h.startHeld("a")
	x.askHome(1, taskEcho, 0)
	o := x.ended(at(7), lambdabiz.StatusSucceeded, false)
	want(h, string(o.Result), string(text("in")), "Result")
	x.end()
}

func attemptHomeFailed(h *harness) {
	x := h.startHeld("a")
	x.askHome(1, taskFail, 0)
	o := x.ended(at(7), lambdabiz.StatusFailed, true)
	if o.Tried.Final || o.Tried.NotBegun || o.Error == nil || !strings.Contains(o.Error.Message, errHomeTask.Error()) {
		h.Fatalf("operation: %+v, error %+v", o, o.Error)
	}
	again := asked(1, 2)
	again.Name = taskSleep
	x.ask(again, lambdabiz.Attempt{Operation: 1, Timeout: 5 * time.Second, Key: "key"})
	h.notDue(at(11), "a", "its attempt's time is not over")
	o = x.ended(at(14), lambdabiz.StatusTimeout, true)
	want(h, o.Attempts, 2, "Attempts")
	if !errorIsDeadline(o.Error) {
		h.Fatalf("Error: %+v", o.Error)
	}
	x.end()
}

func attemptHomeLate(h *harness) {
	x := h.startHeld("a")
	o := x.askHome(1, taskSleep, 200*time.Second)
	h.raise("a", "e")
	x = h.holdAt(x.worker, at(7), "a")
	o.Status, o.EndedAt = lambdabiz.StatusTimeout, at(7)
	h.must(x.try(lambdabiz.Commit{At: at(7), Operations: []lambdabiz.Operation{o}, Seen: x.last()}).Err, "commit")
	h.reach(at(150)) // its result has come
	h.raise("a", "e2")
	x = h.holdAt(x.worker, at(151), "a")
	if got := x.Operations[0]; got.Status != lambdabiz.StatusTimeout || len(got.Result) > 0 || got.Tried != nil {
		h.Fatalf("an operation with a late result: %+v", got)
	}
	x.end()
}
