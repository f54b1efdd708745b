package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// move is one operation of a script.
type move struct {
	ID     string
	Kind   string   // see play
	Text   string   // what a body returns
	Hold   string   // a latch that a body waits for, unless its context ends
	Deaf   bool     // the body does not hear the end of its context
	Mode   string   // "exit", "panic", "once" (fails at its first attempt), "who" (adds who ran it)
	Millis int      // of a timer, a limit, a backoff, or of a body's work
	Items  []string // of a map
	Moves  []move   // of a child
	Event  string   // that is raised
	To     string   // the orchestration that it is raised in
}

// script is an orchestration that makes moves one after the other, and returns all their results. The move
// "again" continues as new with the moves that come after it.
var script = lambdabiz.Define("Script", func(o lambdabiz.Context, moves []move) (string, error) {
	var results []string
	for i, m := range moves {
		if m.Kind == "again" {
			return "", lambdabiz.ContinueAsNew(o, moves[i+1:])
		}
		out, err := play(o, m)
		if err != nil {
			return "", err
		}
		results = append(results, out)
	}
	return strings.Join(results, ","), nil
})

// byName stands for script where that would refer to itself: only its name is used.
var byName = lambdabiz.Define("Script", func(lambdabiz.Context, []move) (string, error) {
	return "", errors.New("only its name is used")
})

// work is a task whose body does what its move says. late is known to some processes only.
var (
	work = lambdabiz.NewTask("Work", body)
	late = lambdabiz.NewTask("Late", body)
)

func play(o lambdabiz.Context, m move) (string, error) {
	pause := time.Duration(m.Millis) * time.Millisecond
	inner := m
	inner.Millis = 0 // the time is the operation's, not its body's
	switch m.Kind {
	case "task":
		return lambdabiz.Call(o, m.ID, work, m)
	case "step":
		return lambdabiz.Step(o, m.ID, func(ctx context.Context) (string, error) { return body(ctx, m) })
	case "late":
		return lambdabiz.CallTask[string](o, m.ID, "Late", m)
	case "limited":
		return lambdabiz.Call(o, m.ID, work, inner, lambdabiz.Timeout(pause))
	case "retried":
		return lambdabiz.Call(o, m.ID, work, inner,
			lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: pause, Jitter: -1}))
	case "timer":
		return m.ID, lambdabiz.Sleep(o, m.ID, pause)
	case "event":
		return lambdabiz.WaitForEvent[string](o, m.ID)
	case "child":
		return lambdabiz.CallChildByName[string](o, m.ID, "Script", m.Moves)
	case "detached":
		_, err := lambdabiz.StartChild(o, m.ID, byName, m.Moves)
		return m.ID, err
	case "raise":
		return m.ID, lambdabiz.RaiseEvent(o, m.ID, m.To, m.Event, m.Text, lambdabiz.Key(o.ID()))
	case "progress":
		return m.ID, lambdabiz.SetProgress(o, m.ID)
	case "map":
		return playMap(o, m)
	case "race":
		return playRace(o, m)
	case "sprint":
		return playSprint(o, m)
	case "code":
		self.inCode(o, m)
		return m.ID, nil
	case "exit":
		if !self.isOpen("fixed") {
			os.Exit(3) // in the orchestration's own code
		}
		return m.ID, nil
	case "panic":
		panic("the script says so")
	default:
		return "", fmt.Errorf("no kind %q", m.Kind)
	}
}

func playMap(o lambdabiz.Context, m move) (string, error) {
	out, err := lambdabiz.Map(o, m.ID, m.Items, func(item string) string { return item },
		func(o lambdabiz.Context, item string) (string, error) {
			return lambdabiz.Call(o, "pack", work, move{Text: item, Millis: m.Millis})
		})
	return strings.Join(out, "+"), err
}

// playRace waits for an event "go", or for an hour.
func playRace(o lambdabiz.Context, m move) (string, error) {
	event := lambdabiz.Go(o, "event-of-"+m.ID, func(o lambdabiz.Context) (string, error) {
		return lambdabiz.WaitForEvent[string](o, "go")
	})
	hour := lambdabiz.Go(o, "hour-of-"+m.ID, func(o lambdabiz.Context) (string, error) {
		return "an hour", lambdabiz.Sleep(o, "hour", time.Hour)
	})
	winner, err := lambdabiz.Race(o, m.ID, event, hour)
	if err != nil {
		return "", err
	}
	return []*lambdabiz.Future[string]{event, hour}[winner].Wait(o)
}

// playSprint races a task against an hour. The task wins.
func playSprint(o lambdabiz.Context, m move) (string, error) {
	run := lambdabiz.Go(o, "run-of-"+m.ID, func(o lambdabiz.Context) (string, error) {
		return lambdabiz.Call(o, "dash", work, move{Text: m.Text, Millis: m.Millis})
	})
	hour := lambdabiz.Go(o, "hour-of-"+m.ID, func(o lambdabiz.Context) (string, error) {
		return "an hour", lambdabiz.Sleep(o, "hour", time.Hour)
	})
	winner, err := lambdabiz.Race(o, m.ID, run, hour)
	if err != nil {
		return "", err
	}
	return []*lambdabiz.Future[string]{run, hour}[winner].Wait(o)
}

// inCode is orchestration code that takes its time between operations.
func (c *child) inCode(o lambdabiz.Context, m move) {
	c.sayf("code %s %s", o.ID(), m.ID)
	<-c.latch(m.Hold)
}

var errOnce = errors.New("the first attempt fails")

// body appends its begin and its end to the effects, and does what the move says in between.
func body(ctx context.Context, m move) (string, error) {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	self.record("begin", info)
	self.sayf("body %s %s", info.OrchestrationID, info.OperationID)
	if m.Hold != "" {
		done := ctx.Done()
		if m.Deaf {
			done = nil
		}
		select {
		case <-self.latch(m.Hold):
		case <-done:
			return "", context.Cause(ctx)
		}
	}
	if m.Millis > 0 {
		<-time.After(time.Duration(m.Millis) * time.Millisecond) // work that takes its time
	}
	switch {
	case m.Mode == "spin":
		for !self.isOpen("fixed") { //nolint:revive // it burns a core, and hears nothing
		}
	case m.Mode == "exit" && !self.isOpen("fixed"):
		os.Exit(3)
	case m.Mode == "panic":
		panic("the move says so")
	case m.Mode == "once" && info.Attempt == 1:
		return "", errOnce
	case m.Mode == "who":
		m.Text += " by " + self.Name
	}
	self.record("end", info)
	return m.Text, nil
}
