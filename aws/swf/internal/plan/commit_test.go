package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func taskOp(n int64, id, name string) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: n, ID: id, Kind: lambdabiz.KindTask, Name: name, Status: lambdabiz.StatusScheduled, Attempts: 1,
		Input: lambdabiz.Payload(`1`), ScheduledAt: epoch,
	}
}

func timerOp(n int64, id string, due time.Time) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: n, ID: id, Kind: lambdabiz.KindTimer, Status: lambdabiz.StatusStarted, DueAt: due, ScheduledAt: epoch,
	}
}

func stepOp(n int64) lambdabiz.Operation {
	return lambdabiz.Operation{
		Number: n, ID: fmt.Sprint("step", n), Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded,
		Result: lambdabiz.Payload(`"r"`), ScheduledAt: epoch, EndedAt: epoch,
	}
}

// with is an operation that has changed.
func with(op lambdabiz.Operation, set func(o *lambdabiz.Operation)) lambdabiz.Operation {
	set(&op)
	return op
}

func recordOf(op lambdabiz.Operation, set ...func(r *wire.Record)) wire.Record {
	r := wire.RecordOf(&op)
	for _, f := range set {
		f(&r)
	}
	return r
}

func cancelled(o *lambdabiz.Operation) { o.Status, o.EndedAt = lambdabiz.StatusCancelled, epoch }

func TestWhatACommitBegins(t *testing.T) {
	t.Parallel()
	wake := epoch.Add(time.Hour)
	for name, c := range map[string]struct {
		history func(s *story)
		arrived bool // a journal as a signal
		commit  lambdabiz.Commit
		want    []string
		plain   bool
	}{
		"a step needs nothing": {
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{stepOp(1)}}, plain: true,
		},
		"a function of AWS": {
			commit: lambdabiz.Commit{
				Operations: []lambdabiz.Operation{taskOp(1, "a/b", "F")}, Attempts: []lambdabiz.Attempt{{Operation: 1}},
			},
			want: []string{"function a%2Fb~1 F(1) within 900 s"},
		},
		"a function with a time-out": {
			commit: lambdabiz.Commit{
				Operations: []lambdabiz.Operation{taskOp(1, "a", "F")},
				Attempts:   []lambdabiz.Attempt{{Operation: 1, Timeout: 1500 * time.Millisecond}},
			},
			want: []string{"function a~1 F(1) within 2 s"},
		},
		"a task of ours": {
			commit: lambdabiz.Commit{
				Operations: []lambdabiz.Operation{taskOp(1, "a", "T:1")}, Attempts: []lambdabiz.Attempt{{Operation: 1, Local: true}},
			},
			want: []string{"activity a~1 T%3A1 on list"},
		},
		"a service": {
			commit: lambdabiz.Commit{
				Operations: []lambdabiz.Operation{with(taskOp(1, "a", "GET"), func(o *lambdabiz.Operation) {
					o.Kind = lambdabiz.KindService
				})},
				Attempts: []lambdabiz.Attempt{{Operation: 1, Local: true}},
			},
			want: []string{"activity a~1 GET on list.rest"},
		},
		"a retry that is not due": {
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{with(taskOp(1, "a", "F"), func(o *lambdabiz.Operation) {
				o.DueAt = wake
			})}, WakeAt: wake},
			want: []string{"timer ~wake~2 in 3600 s"}, plain: true,
		},
		"a timer": {
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{timerOp(1, "t", epoch.Add(90*time.Second))}},
			want:   []string{"timer t~1 in 90 s"},
		},
		"a timer that is over": {
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{timerOp(1, "t", epoch.Add(-time.Second))}},
			want:   []string{"timer t~1 in 0 s"},
		},
		"a timer is dropped": {
			history: func(s *story) {
				s.recorded(recordOf(timerOp(1, "t", wake))).timer("t~1", wire.Control{Op: 1})
			},
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{with(timerOp(1, "t", wake), cancelled)}},
			want:   []string{"no timer t~1"},
		},
		"a task is dropped": {
			history: func(s *story) {
				s.recorded(recordOf(taskOp(1, "a", "T"), func(r *wire.Record) { r.Attempt = &wire.Attempt{Local: true} }))
				s.activity("a~1", 1)
			},
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{with(taskOp(1, "a", "T"), cancelled)}},
			want:   []string{"no activity a~1"},
		},
		"a function cannot be dropped": {
			history: func(s *story) {
				s.recorded(recordOf(taskOp(1, "a", "F"), func(r *wire.Record) { r.Attempt = &wire.Attempt{} })).activity("a~1", 1)
			},
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{with(taskOp(1, "a", "F"), cancelled)}}, plain: true,
		},
		"what was recorded and not begun begins": {
			history: func(s *story) {
				s.recorded(recordOf(taskOp(1, "a", "F"), func(r *wire.Record) { r.Attempt = &wire.Attempt{} }))
			},
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{stepOp(2)}},
			want:   []string{"function a~1 F(1) within 900 s"},
		},
		"a run that wakes": {
			commit: lambdabiz.Commit{WakeAt: wake}, want: []string{"timer ~wake~2 in 3600 s"}, plain: true,
		},
		"a run that wakes at the time at which it would have": {
			history: func(s *story) { s.timer("~wake~1", wire.Control{Wake: wake}) },
			commit:  lambdabiz.Commit{Release: &lambdabiz.Release{WakeAt: wake}},
		},
		"a run that wakes at another time": {
			history: func(s *story) { s.timer("~wake~1", wire.Control{Wake: wake.Add(1)}) },
			commit:  lambdabiz.Commit{Release: &lambdabiz.Release{WakeAt: wake}},
			want:    []string{"no timer ~wake~1", "timer ~wake~3 in 3600 s"},
		},
		"a run that is wanted again at once": {
			commit: lambdabiz.Commit{Again: true, WakeAt: wake}, want: []string{"timer ~wake~2 in 0 s"}, plain: true,
		},
		"a run that is wanted again, and comes by itself": {
			arrived: true, commit: lambdabiz.Commit{Again: true, WakeAt: wake}, want: []string{"timer ~wake~2 in 3600 s"}, plain: true,
		},
		"a wait that has timed out is for a reader to decide": {
			commit: lambdabiz.Commit{Operations: []lambdabiz.Operation{with(stepOp(1), func(o *lambdabiz.Operation) {
				o.Kind, o.Status = lambdabiz.KindEvent, lambdabiz.StatusTimeout
			})}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			if c.history != nil {
				c.history(s)
			}
			task := s.task()
			task.Sent, task.Arrived = c.arrived, c.arrived
			a := decided(t, task, &c.commit, plan.Found{})
			wantDecisions(t, a, c.want...)
			if a.Plain != c.plain || a.Closes || a.Journal.Closing {
				t.Errorf("plain is %v, closes %v", a.Plain, a.Closes)
			}
		})
	}
}

func TestWhatSWFNeverTakesFailsItsOperation(t *testing.T) {
	t.Parallel()
	long := lambdabiz.Payload(`"` + strings.Repeat("x", wire.MaxChars) + `"`)
	for name, c := range map[string]struct {
		op    lambdabiz.Operation
		local bool
		text  string
	}{
		"a function's name": {op: taskOp(1, "a", strings.Repeat("f", 65)), text: "65 characters, the limit of Amazon SWF is 64"},
		"a function's input": {
			op: with(taskOp(1, "a", "F"), func(o *lambdabiz.Operation) { o.Input = lambdabiz.Payload("\xff") }), text: "it is not text",
		},
		"a task's input": {
			op:    with(taskOp(1, "a", "T"), func(o *lambdabiz.Operation) { o.Input = long }),
			local: true, text: `input of operation "a"`,
		},
		"a task's name": {op: taskOp(1, "a", strings.Repeat("/", 86)), local: true, text: "check task name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := decided(t, begin(t).task(), &lambdabiz.Commit{
				Operations: []lambdabiz.Operation{c.op}, Attempts: []lambdabiz.Attempt{{Operation: 1, Local: c.local}},
			}, plan.Found{})
			wantDecisions(t, a, "timer ~wake~2 in 0 s") // the engine has to hear of it
			wantStatus(t, a, 1, lambdabiz.StatusFailed, c.text)
			if !a.Journal.Again || a.After.OpenWork != 0 {
				t.Errorf("again is %v, %d are open", a.Journal.Again, a.After.OpenWork)
			}
		})
	}
}

func TestTypesAreRegisteredBeforeTheyAreUsed(t *testing.T) {
	t.Parallel()
	a := decided(t, begin(t).task(), &lambdabiz.Commit{
		Operations: []lambdabiz.Operation{taskOp(1, "a", "T"), taskOp(2, "b", "F"), childOp(3, "c")},
		Attempts:   []lambdabiz.Attempt{{Operation: 1, Local: true}, {Operation: 2}},
		Starts:     []lambdabiz.RunStart{{ID: "C", Name: "D", Operation: 3}},
	}, plan.Found{})
	if want := []plan.Type{{Activity: true, Name: "T"}, {Name: "D"}}; !slices.Equal(a.Types, want) {
		t.Errorf("the types are %v, want %v", a.Types, want)
	}
}

// TestOnlySoMuchBeginsAtOnce: what has no room goes out with a later answer.
func TestOnlySoMuchBeginsAtOnce(t *testing.T) {
	t.Parallel()
	many := func(n, size int) *lambdabiz.Commit {
		c := &lambdabiz.Commit{}
		for i := range int64(n) {
			c.Operations = append(c.Operations, with(taskOp(i+1, fmt.Sprint(i), "F"), func(o *lambdabiz.Operation) {
				o.Input = lambdabiz.Payload(`"` + strings.Repeat("x", size) + `"`)
			}))
			c.Attempts = append(c.Attempts, lambdabiz.Attempt{Operation: i + 1})
		}
		return c
	}
	t.Run("open work", func(t *testing.T) {
		t.Parallel()
		a := decided(t, begin(t).task(), many(1000, 1), plan.Found{})
		if len(a.Decisions) != wire.MaxOpen || a.After.OpenWork != wire.MaxOpen {
			t.Errorf("%d begin", len(a.Decisions)) // the others when one of these has ended: that is news
		}
	})
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		a := decided(t, begin(t).task(), many(20, 30_000), plan.Found{})
		if got := short(a.Decisions); len(got) != 14 || !strings.HasPrefix(got[13], "timer ~wake~2 in 0 s") || a.Plain {
			t.Errorf("%d decisions, plain is %v", len(got), a.Plain)
		}
	})
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		task := begin(t).task()
		task.Fold.Last = wire.FullEvents - 3*(wire.EventsOfWork+1)
		if a := decided(t, task, many(5, 1), plan.Found{}); a.After.OpenWork != 3 {
			t.Errorf("%d begin", a.After.OpenWork)
		}
	})
}

func TestADeniedRunOnlyBlocks(t *testing.T) {
	t.Parallel()
	task := begin(t).task()
	task.Fold.Denied = "StartTimer: OPERATION_NOT_PERMITTED"
	err := plan.Denied(task.Fold, &lambdabiz.Commit{})
	if err == nil || !strings.Contains(err.Error(), "allow swf:StartTimer") {
		t.Error(err)
	}
	blocks := &lambdabiz.Commit{
		Operations: []lambdabiz.Operation{timerOp(1, "t", epoch)},
		Release:    &lambdabiz.Release{Blocked: &lambdabiz.Blocked{}, WakeAt: epoch.Add(time.Hour)},
	}
	if err := plan.Denied(task.Fold, blocks); err != nil {
		t.Error(err)
	}
	a := decided(t, task, blocks, plan.Found{})
	wantDecisions(t, a)
	if a.Journal.Blocked == nil || !a.Journal.Release {
		t.Errorf("%+v", a.Journal)
	}
}

// TestWhatADecisionBeforeHasRecordedIsNotRecordedAgain: one that could not close the run has.
func TestWhatADecisionBeforeHasRecordedIsNotRecordedAgain(t *testing.T) {
	t.Parallel()
	a := decided(t, begin(t).recorded(recordOf(stepOp(1))).task(), &lambdabiz.Commit{
		Operations: []lambdabiz.Operation{stepOp(1), stepOp(2)},
	}, plan.Found{})
	if len(a.Journal.Ops) != 1 || a.Journal.Ops[0].Number != 2 {
		t.Errorf("%+v", a.Journal.Ops)
	}
}

func TestRaises(t *testing.T) {
	t.Parallel()
	op := lambdabiz.Operation{Number: 1, ID: "r", Kind: lambdabiz.KindRaise, Status: lambdabiz.StatusStarted, StartedAt: epoch}
	again := []string{"timer ~wake~2 in 0 s"} // the engine has to hear of it
	kept := lambdabiz.Raise{ID: "other", Name: "E", Key: "k", Operation: 1, Until: epoch.Add(time.Hour)}
	for name, c := range map[string]struct {
		raise  lambdabiz.Raise
		found  error // what the service has said to one that was sent at once
		once   bool
		want   []string
		status lambdabiz.Status
		text   string
	}{
		"goes with the decision": {
			raise: lambdabiz.Raise{ID: "o/r", Name: "E", Operation: 1}, want: []string{"event E to o%2Fr"}, status: lambdabiz.StatusStarted,
		},
		"was kept": {raise: kept, once: true, want: again, status: lambdabiz.StatusSucceeded},
		"came to nobody": {
			raise: kept, found: lambdabiz.ErrNotFound, once: true, want: again, status: lambdabiz.StatusFailed,
		},
		"has an id too long": {
			raise: lambdabiz.Raise{ID: strings.Repeat("/", 86), Name: "E", Operation: 1},
			found: fmt.Errorf("check: %w", lambdabiz.ErrTooLarge), once: true, want: again, status: lambdabiz.StatusFailed, text: "check",
		},
		"has too long a payload": {
			raise: lambdabiz.Raise{
				ID: "other", Name: "E", Operation: 1, Payload: lambdabiz.Payload(strings.Repeat("1", wire.MaxChars)),
			},
			want: again, status: lambdabiz.StatusFailed, text: `payload of event "E"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, commit := begin(t).task(), &lambdabiz.Commit{
				Operations: []lambdabiz.Operation{op}, Raises: []lambdabiz.Raise{c.raise},
			}
			if wants := plan.Commit(config, task, commit).Wants; slices.Equal(wants.Raises, []int{0}) != c.once {
				t.Errorf("%+v", wants)
			}
			a := decided(t, task, commit, plan.Found{Raised: map[int]error{0: c.found}})
			wantDecisions(t, a, c.want...)
			wantStatus(t, a, 1, c.status, c.text)
		})
	}
	for err, verdict := range map[error]bool{
		nil: true, lambdabiz.ErrNotFound: true, lambdabiz.ErrClosed: true, lambdabiz.ErrTooLarge: true, errors.New("the wire"): false,
	} {
		if plan.IsRaiseVerdict(err) != verdict {
			t.Errorf("%v is a verdict: %v", err, !verdict)
		}
	}
}

// TestAChangeOfAnUnknownOperationIsAnError, and nothing is done for it before.
func TestAChangeOfAnUnknownOperationIsAnError(t *testing.T) {
	t.Parallel()
	for _, c := range []*lambdabiz.Commit{
		{Raises: []lambdabiz.Raise{{ID: "other", Name: "E", Operation: 7, Until: epoch}}},
		{Starts: []lambdabiz.RunStart{{ID: "C", Name: "D", Operation: 7, Policy: lambdabiz.RejectExisting}}},
	} {
		d := plan.Commit(config, begin(t).task(), c)
		if len(d.Wants.Raises)+len(d.Wants.Reserve) > 0 {
			t.Errorf("%+v", d.Wants)
		}
		if _, err := d.Answer(plan.Found{}, epoch); err == nil || !strings.Contains(err.Error(), "no operation 7") {
			t.Error(err)
		}
	}
}

func TestControlsAreDoneBefore(t *testing.T) {
	t.Parallel()
	d := plan.Commit(config, begin(t).task(), &lambdabiz.Commit{Controls: []lambdabiz.Control{
		{Kind: lambdabiz.ControlCancel, ID: "child", Parent: &lambdabiz.Parent{}}, // see TestChildrenThatAreCancelled
		{Kind: lambdabiz.ControlCancel, ID: "other"},
	}})
	if !slices.Equal(d.Wants.Controls, []int{1}) {
		t.Errorf("%+v", d.Wants)
	}
}
