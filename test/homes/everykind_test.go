package homes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// everyKind is an orchestration with an operation of every kind that needs no network.
var everyKind = lambdabiz.Define("EveryKind", func(o lambdabiz.Context, in numbers) (operationResult, error) {
	a, err := lambdabiz.CallTask[numbers](o, "Operation1", "Number", in)
	if err != nil {
		return operationResult{}, err
	}
	b, err := lambdabiz.Call(o, "Operation2", sum, a)
	if err != nil {
		return operationResult{}, err
	}
	if _, err := lambdabiz.Step(o, "step", func(context.Context) (string, error) { return "done", nil }); err != nil {
		return operationResult{}, err
	}
	if _, err := lambdabiz.Call(o, "flaky", flaky, 2, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3})); err != nil {
		return operationResult{}, err
	}
	_, refused := lambdabiz.Call(o, "hopeless", flaky, 9)
	if refused == nil {
		return operationResult{}, errors.New("it is not hopeless")
	}
	if err := lambdabiz.Sleep(o, "30SecTimer", 30*time.Second); err != nil {
		return operationResult{}, err
	}
	doubled, err := lambdabiz.Map(o, "items", []int{1, 2, 3}, func(n int) string { return fmt.Sprint("item/", n) },
		func(o lambdabiz.Context, n int) (int, error) { return lambdabiz.Call(o, "double", doubleTask, n) })
	if err != nil || !slices.Equal(doubled, []int{2, 4, 6}) {
		return operationResult{}, fmt.Errorf("doubled %v: %w", doubled, err)
	}
	if err := lambdabiz.RaiseEvent(o, "raise", o.ID(), "mine", "to myself"); err != nil {
		return operationResult{}, err
	}
	if _, err := lambdabiz.WaitForEvent[string](o, "mine"); err != nil {
		return operationResult{}, err
	}
	if _, err := lambdabiz.CallChild(o, "child", grandchild, 4); err != nil {
		return operationResult{}, err
	}
	approve := lambdabiz.Go(o, "approval", func(o lambdabiz.Context) (bool, error) {
		return lambdabiz.WaitForEvent[bool](o, "Approve", lambdabiz.Named("Approve"))
	})
	late := lambdabiz.Go(o, "late", func(o lambdabiz.Context) (bool, error) { return false, lambdabiz.Sleep(o, "s", time.Hour) })
	if first, err := lambdabiz.Race(o, "race", approve, late); err != nil || first != 0 {
		return operationResult{}, fmt.Errorf("branch %d won: %w", first, err)
	}
	return b, nil
})

var doubleTask = lambdabiz.NewTask("Double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })

// flaky fails until its attempt of the given number.
var flaky = lambdabiz.NewTask("Flaky", func(ctx context.Context, n int) (string, error) {
	if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt < n {
		return "", errFlaky
	}
	return "at last", nil
})

var grandchild = lambdabiz.Define("Grandchild", func(o lambdabiz.Context, n int) (int, error) {
	return lambdabiz.Call(o, "double", doubleTask, n)
})

// The same source leaves the same state on every home: a home that comes later joins by a line in homes.
func TestTheSameOrchestrationLeavesTheSameStateOnEveryHome(t *testing.T) {
	var mu sync.Mutex
	states := map[string]string{}
	t.Cleanup(func() {
		for _, h := range homes {
			if !h.takes(t.Name()) {
				continue
			}
			if states[h.name] != states[homes[0].name] || states[h.name] == "" {
				t.Errorf("on %s the state is\n%s\non %s\n%s", h.name, states[h.name], homes[0].name, states[homes[0].name])
			}
		}
	})
	everywhere(t, func(t *testing.T, b *bench) {
		e, stop := b.worker(everyKind, grandchild, number, sum, doubleTask, flaky)
		run := start(b, e, everyKind, "Sequence3", numbers{15, 5})
		time.Sleep(10 * time.Second)
		stop() // another process goes on
		e, _ = b.worker(everyKind, grandchild, number, sum, doubleTask, flaky)
		time.Sleep(5 * time.Minute)
		raise(b, e, "Sequence3", "Approve", true)
		if got := result(b, run); got != (operationResult{15, 5, 20}) {
			t.Errorf("result is %+v", got)
		}
		s := b.state(e, "Sequence3")
		var text strings.Builder
		fmt.Fprintf(&text, "%s %s %s %s %v\n", s.ID, s.Name, s.Status, s.Result, s.WaitingFor)
		slices.SortFunc(s.Operations, func(x, y lambdabiz.Operation) int { return strings.Compare(x.ID, y.ID) })
		for _, o := range s.Operations {
			fmt.Fprintf(&text, "%s %s %q %s attempts %d input %s result %s", o.ID, o.Kind, o.Name, o.Status, o.Attempts, o.Input, o.Result)
			if o.Error != nil {
				fmt.Fprintf(&text, " error %s", o.Error.Message)
			}
			fmt.Fprintln(&text)
		}
		mu.Lock()
		defer mu.Unlock()
		states[b.home] = text.String()
	})
}
