package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// badIDs is what no id and no name may be.
var badIDs = map[string]struct {
	id   string
	want error
}{
	"empty":     {"", lambdabiz.ErrInvalidID},
	"257 bytes": {strings.Repeat("é", 128) + "x", lambdabiz.ErrTooLarge},
	"NUL":       {"a\x00b", lambdabiz.ErrInvalidID},
	"newline":   {"a\nb", lambdabiz.ErrInvalidID},
	"delete":    {"a\x7f", lambdabiz.ErrInvalidID},
	"C1":        {"a\u0085", lambdabiz.ErrInvalidID},
	"not UTF-8": {"a\xff", lambdabiz.ErrInvalidID},
}

func TestIDsOfTheLargestSizeAndWithAnyLettersWork(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for _, id := range []string{strings.Repeat("é", 128), "a/b", "~0", "' OR 1=1; --", "%", " ", "日本 🙂", ".."} {
			d := lambdabiz.Define(id, func(o lambdabiz.Context, _ int) (string, error) {
				if _, err := lambdabiz.Step(o, id, one); err != nil {
					return "", err
				}
				return lambdabiz.Go(o, "b", func(o lambdabiz.Context) (string, error) {
					return lambdabiz.WaitForEvent[string](o, id)
				}).Wait(o)
			})
			e, stop := b.worker(d)
			run := start(b, e, d, id, 0, lambdabiz.Tags(map[string]string{id: id}))
			raise(b, e, id, id, "v", lambdabiz.Key(id))
			if got := result(b, run); got != "v" {
				t.Errorf("%q gave %q", id, got)
			}
			if s := b.state(e, id); s.ID != id || s.Tags[id] != id || s.Name != id || len(s.Operations) != 2 {
				t.Errorf("the state of %q is %+v", id, s)
			}
			stop()
		}
	})
}

func TestBadIDsFromOutsideAreRefusedAtTheDoor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{})
		start(b, e, echo, "x", 1)
		before := records(b, "x")
		calls := map[string]func(id string) error{ // by the field that the error names
			"orchestration id start":     func(id string) error { _, err := lambdabiz.Start(b.ctx, e, echo, id, 1); return err },
			"orchestration id raise":     func(id string) error { return e.RaiseEvent(b.ctx, id, "E", 1) },
			"orchestration id cancel":    func(id string) error { return e.Cancel(b.ctx, id, "") },
			"orchestration id terminate": func(id string) error { return e.Terminate(b.ctx, id, "") },
			"orchestration id pause":     func(id string) error { return e.Pause(b.ctx, id, "") },
			"orchestration id resume":    func(id string) error { return e.Resume(b.ctx, id) },
			"orchestration id purge":     func(id string) error { return e.Purge(b.ctx, id) },
			"orchestration id state":     func(id string) error { _, err := e.State(b.ctx, id); return err },
			"orchestration id result":    func(id string) error { _, err := lambdabiz.Get(e, echo, id).Result(b.ctx); return err },
			"orchestration id create":    func(id string) error { _, err := e.Create(b.ctx, id); return err },
			"orchestration name":         func(id string) error { _, err := e.StartByName(b.ctx, id, "y", 1); return err },
			"tag": func(id string) error {
				_, err := lambdabiz.Start(b.ctx, e, echo, "y", 1, lambdabiz.Tags(map[string]string{id: "v"}))
				return err
			},
			"event name": func(id string) error { return e.RaiseEvent(b.ctx, "x", id, 1) },
			"event key":  func(id string) error { return e.RaiseEvent(b.ctx, "x", "E", 1, lambdabiz.Key(id)) },
			"definition name": func(id string) error {
				return e.Register(lambdabiz.Define(id, func(lambdabiz.Context, int) (int, error) { return 0, nil }))
			},
			"task name": func(id string) error {
				return e.Register(lambdabiz.NewTask(id, func(context.Context, int) (int, error) { return 0, nil }))
			},
			"error name": func(id string) error { return e.Register(lambdabiz.ErrorValue(id, errFlaky)) },
		}
		for what, bad := range badIDs {
			for field, call := range calls {
				if field == "event key" && what == "empty" {
					continue // no key
				}
				err := call(bad.id)
				if field = strings.Join(strings.Fields(field)[:min(2, len(strings.Fields(field)))], " "); !errors.Is(err, bad.want) ||
					!strings.Contains(err.Error(), field) {
					t.Errorf("%s: %s gave %v", field, what, err)
				}
			}
		}
		long := map[string]string{"k": strings.Repeat("v", 257)}
		if _, err := lambdabiz.Start(b.ctx, e, echo, "y", 1, lambdabiz.Tags(long)); !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("a tag's value of 257 bytes gave %v", err)
		}
		if err := e.Cancel(b.ctx, "x", strings.Repeat("why ", 10_000)); !errors.Is(err, lambdabiz.ErrTooLarge) {
			t.Errorf("a reason of 40,000 bytes gave %v", err)
		}
		page, err := e.List(b.ctx, lambdabiz.Filter{})
		if err != nil || len(page.Runs) != 1 || records(b, "x") != before {
			t.Errorf("something was stored: %+v, %v", page.Runs, err)
		}
	})
}

// badCalls is every operation with a bad id in one of its places.
var badCalls = map[string]func(o lambdabiz.Context, id string) error{
	"step": func(o lambdabiz.Context, id string) error { _, err := lambdabiz.Step(o, id, one); return err },
	"task": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.CallTask[int](o, id, "Number", 1)
		return err
	},
	"timer":    func(o lambdabiz.Context, id string) error { return lambdabiz.Sleep(o, id, 1) },
	"event":    func(o lambdabiz.Context, id string) error { _, err := lambdabiz.WaitForEvent[int](o, id); return err },
	"raise":    func(o lambdabiz.Context, id string) error { return lambdabiz.RaiseEvent(o, id, "x", "E", 1) },
	"child":    func(o lambdabiz.Context, id string) error { _, err := lambdabiz.CallChild(o, id, echo, 1); return err },
	"detached": func(o lambdabiz.Context, id string) error { _, err := lambdabiz.StartChild(o, id, echo, 1); return err },
	"branch":   func(o lambdabiz.Context, id string) error { _, err := lambdabiz.Go(o, id, never).Wait(o); return err },
	"map's key": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.Map(o, "m"+fmt.Sprint(len(id)), []int{1}, func(int) string { return id },
			func(o lambdabiz.Context, _ int) (int, error) { return never(o) })
		return err
	},
	"event's name": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.WaitForEvent[int](o, "w", lambdabiz.Named(id))
		return err
	},
	"task's name": func(o lambdabiz.Context, id string) error {
		if id == "" {
			return lambdabiz.ErrInvalidID // it blocks the run: nobody knows such a task
		}
		_, err := lambdabiz.CallTask[int](o, "c", id, 1)
		return err
	},
	"raise's orchestration": func(o lambdabiz.Context, id string) error { return lambdabiz.RaiseEvent(o, "r", id, "E", 1) },
	"raise's event":         func(o lambdabiz.Context, id string) error { return lambdabiz.RaiseEvent(o, "r", "x", id, 1) },
	"raise's key": func(o lambdabiz.Context, id string) error {
		if id == "" {
			return lambdabiz.ErrInvalidID // no key
		}
		return lambdabiz.RaiseEvent(o, "r", "x", "E", 1, lambdabiz.Key(id))
	},
	"child's name": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.CallChildByName[int](o, "n"+fmt.Sprint(len(id)), id, 1)
		return err
	},
	"child's id": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.CallChild(o, "i"+fmt.Sprint(len(id)), echo, 1, lambdabiz.ChildID(id))
		return err
	},
	"child's tag": func(o lambdabiz.Context, id string) error {
		_, err := lambdabiz.CallChild(o, "t"+fmt.Sprint(len(id)), echo, 1, lambdabiz.Tags(map[string]string{id: ""}))
		return err
	},
}

func TestBadIDsOfOperationsAreErrorsAndRecordNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		type input struct{ Call, Bad string }
		d := lambdabiz.Define("D", func(o lambdabiz.Context, in input) (string, error) {
			err := badCalls[in.Call](o, badIDs[in.Bad].id)
			if !errors.Is(err, badIDs[in.Bad].want) {
				return "", fmt.Errorf("it gave %w", err)
			}
			_, after := lambdabiz.Step(o, "after", one) // the author may go on
			return err.Error(), after
		})
		e, _ := b.worker(d, number, echo)
		runs := map[input]*lambdabiz.Run[string]{}
		for call := range badCalls {
			for bad := range badIDs {
				in := input{call, bad}
				runs[in] = start(b, e, d, call+": "+bad, in)
			}
		}
		for in, run := range runs {
			text, err := run.Result(b.ctx)
			if err != nil {
				t.Errorf("%+v: %v", in, err)
				continue
			}
			if in.Bad != "empty" && (!strings.Contains(text, "orchestration "+run.ID()) ||
				in.Call != "branch" && in.Call != "map's key" && !strings.Contains(text, "operation")) {
				t.Errorf("%+v: the error does not name the place: %s", in, text)
			}
			if s := b.state(e, run.ID()); len(s.Operations) != 1 || s.Operations[0].ID != "after" {
				t.Errorf("%+v: recorded are %+v", in, s.Operations)
			}
		}
	})
}

// badValues is what no payload may be, with 1,000 bytes allowed.
var badValues = map[string]struct {
	value any
	want  error
}{
	"no JSON":   {make(chan int), lambdabiz.ErrInvalidPayload},
	"raw":       {lambdabiz.Payload(`{"a":`), lambdabiz.ErrInvalidPayload},
	"too large": {strings.Repeat("x", 1000), lambdabiz.ErrTooLarge},
}

func TestBadPayloadsFromOutsideAreRefusedAtTheDoor(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{MaxPayloadBytes: 1000})
		start(b, e, echo, "x", 1)
		before := records(b, "x")
		for name, bad := range badValues {
			_, err := e.StartByName(b.ctx, "Echo", "y", bad.value)
			if !errors.Is(err, bad.want) || !strings.Contains(err.Error(), "input") || !strings.Contains(err.Error(), "orchestration y") {
				t.Errorf("%s: a start gave %v", name, err)
			}
			err = e.RaiseEvent(b.ctx, "x", "Approve", bad.value)
			if !errors.Is(err, bad.want) || !strings.Contains(err.Error(), `"Approve"`) || !strings.Contains(err.Error(), `"x"`) {
				t.Errorf("%s: an event gave %v", name, err)
			}
		}
		if _, err := e.StartByName(b.ctx, "Echo", "fits", strings.Repeat("x", 998)); err != nil {
			t.Errorf("1,000 bytes gave %v", err)
		}
		if _, err := e.State(b.ctx, "y"); !errors.Is(err, lambdabiz.ErrNotFound) || records(b, "x") != before {
			t.Errorf("something was stored: %v", err)
		}
	})
}

func TestBadPayloadsByHandAreRefusedAndEndNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		e := b.engine(lambdabiz.Config{MaxPayloadBytes: 1000})
		for name, bad := range badValues {
			o, err := e.Create(b.ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Start(bad.value); !errors.Is(err, bad.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: Start gave %v", name, err)
			}
			if err := o.Start(1); err != nil {
				t.Fatal(err)
			}
			if err := o.Complete(bad.value); !errors.Is(err, bad.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: Complete gave %v", name, err)
			}
			if s := b.state(e, name); s.Status.Ended() {
				t.Errorf("%s: the run is %v", name, s.Status)
			}
			if err := o.Complete("fits"); err != nil {
				t.Errorf("%s: the second Complete gave %v", name, err)
			}
		}
	}, keepsEnds())
}

func TestBadPayloadsOfOperationsAreErrorsAndRecordNothing(t *testing.T) {
	calls := map[string]func(o lambdabiz.Context, value any) error{
		"task": func(o lambdabiz.Context, v any) error {
			_, err := lambdabiz.CallTask[int](o, "bad", "Any", v)
			return err
		},
		"raise": func(o lambdabiz.Context, v any) error { return lambdabiz.RaiseEvent(o, "bad", "x", "E", v) },
		"child": func(o lambdabiz.Context, v any) error {
			_, err := lambdabiz.CallChildByName[int](o, "bad", "Echo", v)
			return err
		},
		"progress": lambdabiz.SetProgress,
	}
	everywhere(t, func(t *testing.T, b *bench) {
		type input struct{ Call, Bad string }
		d := lambdabiz.Define("D", func(o lambdabiz.Context, in input) (string, error) {
			err := calls[in.Call](o, badValues[in.Bad].value)
			if !errors.Is(err, badValues[in.Bad].want) {
				return "", fmt.Errorf("it gave %w", err)
			}
			_, after := lambdabiz.Step(o, "after", one)
			return err.Error(), after
		})
		task := lambdabiz.NewTask("Any", func(context.Context, any) (int, error) { t.Error("it runs"); return 0, nil })
		e, _ := b.workerWith(lambdabiz.Config{MaxPayloadBytes: 1000}, d, task, echo)
		for call := range calls {
			for bad := range badValues {
				run := start(b, e, d, call+": "+bad, input{call, bad})
				text, err := run.Result(b.ctx)
				if err != nil || !strings.Contains(text, run.ID()) || call != "progress" && !strings.Contains(text, `operation "bad"`) {
					t.Errorf("%s: %s, %v", run.ID(), text, err)
				}
				if s := b.state(e, run.ID()); len(s.Operations) != 1 || s.Operations[0].ID != "after" || len(s.Progress) != 0 {
					t.Errorf("%s: recorded are %+v", run.ID(), s.Operations)
				}
			}
		}
	})
}

func TestBadResultFailsTheRunAndBadHeartbeatDetailsAreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		var beats atomic.Int64
		d := lambdabiz.Define("D", func(o lambdabiz.Context, bad string) (any, error) {
			err := lambdabiz.Do(o, "s", func(ctx context.Context) error {
				if err := lambdabiz.Heartbeat(ctx, badValues[bad].value); !errors.Is(err, badValues[bad].want) {
					t.Errorf("%s: a heartbeat gave %v", bad, err)
				}
				beats.Add(1)
				return nil
			})
			return badValues[bad].value, err
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxPayloadBytes: 1000}, d)
		for name, bad := range badValues {
			if err := failure(b, start(b, e, d, name, name)); !errors.Is(err, bad.want) || !strings.Contains(err.Error(), "result") {
				t.Errorf("%s: error is %v", name, err)
			}
			s := b.state(e, name)
			if s.Status != lambdabiz.StatusFailed || len(s.Result) != 0 || len(operation(t, s, "s").Details) != 0 {
				t.Errorf("%s: state is %+v", name, s)
			}
		}
		if beats.Load() != 3 {
			t.Errorf("%d heartbeats", beats.Load())
		}
	}, keepsClaims(countsBodies))
}

// A worker has no more orchestrations in memory than it may have. The others are rows that wait, and get their turn.
// Row 53 of docs/proof/bugs.md.
func TestNoMoreOrchestrationsThanMaxResidentAreInMemory(t *testing.T) {
	onHomes(t, func(t *testing.T, b *bench) {
		const most, all = 3, 12
		var now, peak atomic.Int64
		d := lambdabiz.Define("Busy", func(o lambdabiz.Context, n int) (int, error) {
			peak.Store(max(peak.Load(), now.Add(1)))
			defer now.Add(-1)
			return lambdabiz.Step(o, "work", func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return n, nil
			})
		})
		e, _ := b.workerWith(lambdabiz.Config{MaxResident: most}, d)
		client := b.engine(lambdabiz.Config{}, d)
		var runs []*lambdabiz.Run[int]
		for i := range all { // it claims what it starts itself at once, and looks for the others
			starter := []*lambdabiz.Engine{e, client}[i%2]
			runs = append(runs, start(b, starter, d, fmt.Sprint("r", i), i))
		}
		for i, run := range runs {
			if got := result(b, run); got != i {
				t.Errorf("result of r%d is %d", i, got)
			}
		}
		if peak.Load() != most {
			t.Errorf("%d were in memory at a time, want %d", peak.Load(), most)
		}
	}, "memory", "sqlite", "postgres")
}

// A page has 100 rows unless a limit is given, which is 1,000 at most.
func TestPagesHaveAHundredRowsUnlessTold(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		const all = 103
		e := b.engine(lambdabiz.Config{}, ends)
		for i := range all {
			start(b, e, ends, fmt.Sprint("r", i), "SUCCEEDED")
		}
		synctest.Wait() // where lists are of copies they may lag
		for limit, want := range map[int]int{0: 100, 1: 1, 100: 100, 1000: all} {
			page, err := e.List(b.ctx, lambdabiz.Filter{Limit: limit})
			if err != nil || len(page.Runs) != want || (page.Next == "") != (want == all) {
				t.Errorf("limit %d gave %d rows, next %q, %v", limit, len(page.Runs), page.Next, err)
			}
		}
		for _, limit := range []int{-1, 1001} {
			if page, err := e.List(b.ctx, lambdabiz.Filter{Limit: limit}); err == nil {
				t.Errorf("limit %d gave %d rows", limit, len(page.Runs))
			}
		}
	})
}
