package swf_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awsswf "github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// measured is a world in which calls take their time and are counted.
type measured struct {
	t      *testing.T
	server *fakeswf.Server
	worker *meter
	user   *meter
	*process
	user2 *process
}

func newMeasured(t *testing.T, items ...lambdabiz.Registrable) *measured {
	t.Helper()
	m := &measured{t: t, server: newServer(t, slowly(newBodies()))}
	m.worker, m.user = newMeter(m.server), newMeter(m.server, "StartWorkflowExecution", "SignalWorkflowExecution")
	m.process = client(t, through(m.server, m.worker)).workOn(items...)
	m.user2 = client(t, through(m.server, m.user))
	return m
}

// run runs a definition to its end, and raises the events when all is quiet.
func (m *measured) run(d *lambdabiz.Definition[int, int], in int, events ...string) cost {
	m.t.Helper()
	run, err := lambdabiz.Start(m.t.Context(), m.user2.Engine, d, "R", in, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range events {
		<-time.After(time.Minute)
		if err := m.user2.RaiseEvent(m.t.Context(), "R", name, true); err != nil {
			m.t.Fatal(err)
		}
	}
	result(m.t, m.server, m.user2.Engine, run, "R")
	m.stop()
	return cost{m.worker.total() + m.user.total(), eventsOf(m.t, m.server, "R")}
}

// operation is a kind of operation whose cost is counted: what one more of it takes.
type operation struct {
	name  string
	do    func(o lambdabiz.Context, id string) error
	event bool // a person raises it
	adds  []lambdabiz.Registrable
	sink  bool // it needs a run that nobody drives
	child bool // what the child costs is not its own
}

// countOperation is the cost of the third operation of a kind in a run.
func countOperation(t *testing.T, op operation) cost {
	t.Helper()
	var costs [2]cost
	for i := range costs {
		synctest.Test(t, func(t *testing.T) {
			d := lambdabiz.Define("Count", func(o lambdabiz.Context, n int) (int, error) {
				for k := range n {
					if err := op.do(o, fmt.Sprint("op", k)); err != nil {
						return 0, err
					}
				}
				return n, nil
			})
			m := newMeasured(t, append(slices.Clone(op.adds), d)...)
			if op.sink {
				nobody := lambdabiz.OnQueue("nobody")
				if _, err := lambdabiz.Start(t.Context(), client(t, configFor(m.server)).Engine, d, "sink", 1,
					nobody, lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
					t.Fatal(err)
				}
			}
			var events []string
			for k := range i + 2 {
				if op.event {
					events = append(events, fmt.Sprint("op", k))
				}
			}
			costs[i] = m.run(d, i+2, events...)
		})
	}
	return costs[1].less(costs[0])
}

var (
	countTask = lambdabiz.NewTask("Slow", func(context.Context, int) (int, error) {
		<-time.After(time.Second)
		return 1, nil
	})
	countRetried = lambdabiz.NewTask("Retried", func(ctx context.Context, _ int) (int, error) {
		<-time.After(time.Second)
		if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
			return 0, errRefused
		}
		return 1, nil
	})
	countChild = lambdabiz.Define("Child", func(o lambdabiz.Context, in int) (int, error) {
		return in, lambdabiz.Sleep(o, "nap", time.Second)
	})
)

func one(context.Context) (int, error) { return 1, nil }

// operations are those whose cost docs/aws.md has.
func operations() []operation {
	return []operation{
		{name: "Lambda task", do: func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.CallTask[float64](o, id, "Sum", numbers{1, 2})
			return err
		}},
		{name: "Go task or REST service", adds: []lambdabiz.Registrable{countTask}, do: func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.Call(o, id, countTask, 1)
			return err
		}},
		{name: "the same, with one failed attempt and its backoff", adds: []lambdabiz.Registrable{countRetried},
			do: func(o lambdabiz.Context, id string) error {
				_, err := lambdabiz.Call(o, id, countRetried, 1, lambdabiz.Retry(lambdabiz.Backoff{Initial: 5 * time.Second, Attempts: 2}))
				return err
			}},
		{name: "timer", do: func(o lambdabiz.Context, id string) error { return lambdabiz.Sleep(o, id, 30*time.Second) }},
		{name: "event, the sender's call included", event: true, do: func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.WaitForEvent[bool](o, id)
			return err
		}},
		{name: "event with a time-out that does not come", event: true, do: func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.WaitForEvent[bool](o, id, lambdabiz.Timeout(24*time.Hour))
			return err
		}},
		{name: "event raised in another run, without what it costs there", sink: true, do: func(o lambdabiz.Context, id string) error {
			return lambdabiz.RaiseEvent(o, id, "sink", "Hello", 1)
		}},
		{name: "child, without what it does itself", adds: []lambdabiz.Registrable{countChild}, child: true,
			do: func(o lambdabiz.Context, id string) error {
				_, err := lambdabiz.CallChild(o, id, countChild, 1)
				return err
			}},
		{name: "step before a task, which it rides along with (the task not counted)", do: func(o lambdabiz.Context, id string) error {
			if _, err := lambdabiz.Step(o, id, one); err != nil {
				return err
			}
			_, err := lambdabiz.CallTask[float64](o, id+"task", "Sum", numbers{1, 2})
			return err
		}},
		{name: "step after a step", do: func(o lambdabiz.Context, id string) error {
			_, err := lambdabiz.Step(o, id, one)
			return err
		}},
		{name: "progress, beside a task (the task not counted)", do: func(o lambdabiz.Context, id string) error {
			if err := lambdabiz.SetProgress(o, id); err != nil {
				return err
			}
			_, err := lambdabiz.CallTask[float64](o, id+"task", "Sum", numbers{1, 2})
			return err
		}},
	}
}

// countOurs is the cost of the original's program here, when the person answers a minute after the timer.
func countOurs(t *testing.T, answer time.Duration) (c cost) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, sequence)
		run, err := lambdabiz.Start(t.Context(), m.user2.Engine, sequence, "R", numbers{15, 5}, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(answer)
		if err := m.user2.RaiseEvent(t.Context(), "R", "Approve", true); err != nil {
			t.Fatal(err)
		}
		result(t, m.server, m.user2.Engine, run, "R")
		m.stop()
		c = cost{m.worker.total() + m.user.total(), eventsOf(t, m.server, "R")}
	})
	return c
}

// countOriginals is the cost of the same program as the original's code drives it.
func countOriginals(t *testing.T, answer time.Duration) (c cost) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, slowly(newBodies()))
		m := newMeter(server)
		o := &original{t: t, client: awsswf.NewFromConfig(through(server, m).AWS), id: "R"}
		person := &original{t: t, client: sdk(server), id: "R"}
		sent := make(chan error, 1)
		time.AfterFunc(answer, func() { sent <- person.raise("Approve", "true") })
		if err := o.process(); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		c = cost{m.total() + 1, eventsOf(t, server, "R")}
	})
	return c
}

// TestTheCountInTheDocsIsTrue compares the tables of docs/aws.md with what the fake counts.
func TestTheCountInTheDocsIsTrue(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| operation | history events | API calls |\n|---|---|---|\n")
	task := countOperation(t, operations()[0])
	for _, op := range operations() {
		c := countOperation(t, op)
		if strings.Contains(op.name, "not counted") {
			c = c.less(task)
		}
		if op.child {
			c = c.less(childAlone(t))
		}
		fmt.Fprintf(&table, "| %s | %d | %d |\n", op.name, c.events, c.calls)
	}
	table.WriteString("\n| the original's program: five Lambda tasks, a timer of 30 s, an approval | events | calls |\n|---|---|---|\n")
	const answer = 95 * time.Second // about a minute after the timer
	ours, later := countOurs(t, answer), countOurs(t, answer+time.Hour)
	if ours != later {
		t.Errorf("waiting costs: %v after a minute, %v after an hour more", ours, later)
	}
	theirs := countOriginals(t, answer)
	minute := countOriginals(t, answer+30*time.Second).less(theirs)
	minute.calls, minute.events = 2*minute.calls, 2*minute.events
	fmt.Fprintf(&table, "| here, however long the person takes | %d | %d |\n", ours.events, ours.calls)
	fmt.Fprintf(&table, "| the original, approved a minute after the timer | %d | %d |\n", theirs.events, theirs.calls)
	fmt.Fprintf(&table, "| the original, each further minute | %d | %d |\n", minute.events, minute.calls)
	fmt.Fprintf(&table, "| so the original's run is ended by SWF, at 25,000 events, after | %d minutes | |\n",
		1+(25_000-theirs.events)/minute.events)
	t.Log("\n" + table.String())
	compareTable(t, table.String())
}

// childAlone is what a child of countOperation takes itself: its calls.
func childAlone(t *testing.T) (c cost) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, countChild)
		c = m.run(countChild, 1)
		c = cost{calls: c.calls - 1} // it is not started by a call
	})
	return c
}

const (
	tableBegins = "<!-- counted by TestTheCountInTheDocsIsTrue: begin -->\n"
	tableEnds   = "<!-- end -->"
)

func compareTable(t *testing.T, table string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), tableBegins)
	inDocs, _, ends := strings.Cut(rest, tableEnds)
	if !found || !ends {
		t.Fatalf("docs/aws.md has no table between %q and %q", tableBegins, tableEnds)
	}
	if inDocs != table {
		t.Errorf("docs/aws.md says\n%s\ncounted is\n%s", inDocs, table)
	}
}
