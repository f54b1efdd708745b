package swf_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// bodies counts how often what ran, in all processes of a test.
type bodies struct {
	mu   sync.Mutex
	runs map[string]int
}

func newBodies() *bodies { return &bodies{runs: map[string]int{}} }

func (b *bodies) ran(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs[name]++
	return b.runs[name]
}

func (b *bodies) all() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.runs)
}

// lambdas counts the functions.
func (b *bodies) lambdas(ctx context.Context, name, input string) (string, error) {
	b.ran("lambda " + name)
	return lambdas(ctx, name, input)
}

// program is the original's sequence with a Go task and steps between. Each run of a step gives another
// number, so that one which is recorded twice changes the result.
type program struct {
	definition *lambdabiz.Definition[numbers, string]
	task       *lambdabiz.Task[string, string]
}

func newProgram(b *bodies) program {
	p := program{task: lambdabiz.NewTask("Sign", func(_ context.Context, in string) (string, error) {
		return fmt.Sprintf("%s+sign%d", in, b.ran("sign")), nil
	})}
	step := func(o lambdabiz.Context, id string) (string, error) {
		return lambdabiz.Step(o, id, func(context.Context) (string, error) {
			return fmt.Sprintf("%s%d", id, b.ran(id)), nil
		})
	}
	p.definition = lambdabiz.Define("Program", func(o lambdabiz.Context, in numbers) (string, error) {
		first, err := step(o, "first")
		if err != nil {
			return "", err
		}
		var sum float64
		for _, name := range []string{"Number", "Sum", "Quotient"} {
			out, err := lambdabiz.CallTask[float64](o, name, name, in)
			if err != nil {
				return "", err
			}
			sum += out
		}
		second, err := step(o, "second")
		if err != nil {
			return "", err
		}
		third, err := step(o, "third")
		if err != nil {
			return "", err
		}
		signed, err := lambdabiz.Call(o, "sign", p.task, first+second+third)
		if err != nil {
			return "", err
		}
		if err := lambdabiz.Sleep(o, "timer", 30*time.Second); err != nil {
			return "", err
		}
		approved, err := lambdabiz.WaitForEvent[string](o, "Approve")
		if err != nil {
			return "", err
		}
		last, err := step(o, "last")
		return fmt.Sprintf("%v %s %s %s", sum, signed, approved, last), err
	})
	return p
}

// takeOver runs the program on a worker whose wire is cut at a call, and lets another one finish it. It returns the
// calls of the first worker, and how often what ran.
func takeOver(t *testing.T, at int, applied bool) (calls int, runs map[string]int) {
	t.Helper()
	b := newBodies()
	server := newServer(t, fakeswf.Config{Lambda: b.lambdas})
	wire := newCutter(server, 0, applied)
	p := newProgram(b)
	first := client(t, through(server, wire))
	wire.at, wire.count = at, 0
	first.workOn(p.definition, p.task)
	second := client(t, configFor(server))
	run, err := lambdabiz.Start(t.Context(), second.Engine, p.definition, "P", numbers{15, 5}, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.RaiseEvent(t.Context(), "P", "Approve", "yes"); err != nil {
		t.Fatal(err)
	}
	if at > 0 {
		<-wire.cut
		second.workOn(p.definition, p.task)
	}
	began := time.Now()
	out := result(t, server, second.Engine, run, "P")
	if took := time.Since(began); took > 10*time.Minute {
		t.Errorf("it took %v", took)
	}
	checkProgram(t, server, "P", out)
	calls = wire.calls()
	first.stop()
	return calls, b.all()
}

// checkProgram compares a result with what is recorded.
func checkProgram(t *testing.T, server *fakeswf.Server, id, out string) {
	t.Helper()
	checkResult(t, out)
	events := wantSound(t, server, id)
	if n := countOf(events, types.EventTypeLambdaFunctionScheduled); n != 3 {
		t.Errorf("%d Lambda functions were asked for", n)
	}
	if n := countOf(events, types.EventTypeTimerFired); n < 1 {
		t.Errorf("%d timers fired", n)
	}
}

// checkResult: the sum is right, and every step is in it, whichever run of its body was recorded.
func checkResult(t *testing.T, out string) {
	t.Helper()
	var n [5]int
	if _, err := fmt.Sscanf(out, "38 first%dsecond%dthird%d+sign%d yes last%d", &n[0], &n[1], &n[2], &n[3], &n[4]); err != nil {
		t.Errorf("the result is %q: %v", out, err)
	}
}

// TestAWorkerIsCutAtEveryCall takes the wire of a worker away at each of its calls, before and after the call is
// applied. Another worker ends the run: the result is right, every Lambda function ran once, nothing is recorded twice.
func TestAWorkerIsCutAtEveryCall(t *testing.T) {
	t.Parallel()
	var calls int
	synctest.Test(t, func(t *testing.T) {
		var runs map[string]int
		calls, runs = takeOver(t, 0, false)
		for what, n := range runs {
			if n != 1 {
				t.Errorf("without any fault %s ran %d times", what, n)
			}
		}
	})
	if calls < 15 {
		t.Fatalf("only %d calls", calls)
	}
	t.Logf("%d calls", calls)
	for at := 1; at <= calls; at++ {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, applied %v", at, applied), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					_, runs := takeOver(t, at, applied)
					for _, name := range []string{"Number", "Sum", "Quotient"} {
						if n := runs["lambda "+name]; n != 1 {
							t.Errorf("function %s ran %d times", name, n)
						}
					}
				})
			})
		}
	}
}
