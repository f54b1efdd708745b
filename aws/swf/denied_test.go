package swf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// TestADecisionThatIsNotPermittedBlocksTheRun, which says what is missing and goes on when it is resumed. It was asked for
// again at once, for ever.
func TestADecisionThatIsNotPermittedBlocksTheRun(t *testing.T) {
	t.Parallel()
	task := lambdabiz.NewTask("T", func(context.Context, int) (int, error) { return 7, nil })
	child := lambdabiz.Define("Child", func(_ lambdabiz.Context, in int) (int, error) { return in, nil })
	for denied, do := range map[string]func(o lambdabiz.Context) (int, error){
		"StartTimer": func(o lambdabiz.Context) (int, error) { return 7, lambdabiz.Sleep(o, "nap", time.Minute) },
		"ScheduleActivityTask": func(o lambdabiz.Context) (int, error) {
			return lambdabiz.Call(o, "t", task, 7)
		},
		"StartChildWorkflowExecution": func(o lambdabiz.Context) (int, error) { return lambdabiz.CallChild(o, "c", child, 7) },
		"SignalExternalWorkflowExecution": func(o lambdabiz.Context) (int, error) {
			return 7, lambdabiz.RaiseEvent(o, "r", "R", "e", 1)
		},
		"CompleteWorkflowExecution": func(lambdabiz.Context) (int, error) { return 7, nil },
	} {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) { return do(o) })
		t.Run(denied, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var refused atomic.Int64
				var allowed atomic.Bool
				server := newServer(t, fakeswf.Config{RefuseDecision: func(kind string, _ map[string]any) string {
					if kind != denied || allowed.Load() {
						return ""
					}
					refused.Add(1)
					return "OPERATION_NOT_PERMITTED"
				}})
				p := client(t, configFor(server)).workOn(d, task, child)
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Hour)
				if s := lookAt(t, p.Engine, "R"); s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "swf:"+denied) {
					t.Errorf("it is %s, blocked %v", s.Status, s.Blocked)
				}
				if n := refused.Load(); n == 0 || n > 3 {
					t.Errorf("SWF has refused %d times", n)
				}
				allowed.Store(true)
				if err := p.Resume(t.Context(), "R"); err != nil {
					t.Fatal(err)
				}
				if out := result(t, server, p.Engine, run, "R"); out != 7 {
					t.Error("the result is", out)
				}
			})
		})
	}
}

// bits is a codec whose payloads are no text, as those of one that encrypts.
type bits struct{}

func (bits) Encode(v any) (lambdabiz.Payload, error) {
	text, err := json.Marshal(v)
	return append([]byte{0xff}, text...), err
}

func (bits) Decode(p lambdabiz.Payload, v any) error {
	return json.Unmarshal(bytes.TrimPrefix(p, []byte{0xff}), v)
}

// TestAResultThatIsTooLongInTheHistoryFails: the run closed again and again.
func TestAResultThatIsTooLongInTheHistoryFails(t *testing.T) {
	t.Parallel()
	long := lambdabiz.NewTask("Long", func(context.Context, int) (string, error) { return strings.Repeat("x", 27<<10), nil })
	for name, do := range map[string]func(o lambdabiz.Context) (string, error){
		"of a run":  func(lambdabiz.Context) (string, error) { return strings.Repeat("x", 27<<10), nil },
		"of a task": func(o lambdabiz.Context) (string, error) { return lambdabiz.Call(o, "t", long, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) { return do(o) })
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				b := openBackend(t, configFor(server))
				e, stop := work(t, b, lambdabiz.Config{Codec: bits{}}, d, long)
				run, err := lambdabiz.Start(t.Context(), e, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if _, err := run.Result(ctx); !errors.Is(err, lambdabiz.ErrTooLarge) {
					t.Errorf("the result is %v", err)
				}
				stop()
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// slow is a value that takes its time to be read.
type slow struct{}

func (*slow) UnmarshalJSON([]byte) error {
	<-time.After(3 * time.Minute)
	return nil
}

// TestAnEventThatTakesLongerThanADecisionBlocksTheRun: it was read again and again, and nothing said so.
func TestAnEventThatTakesLongerThanADecisionBlocksTheRun(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		_, err := lambdabiz.WaitForEvent[slow](o, "photo")
		return 7, err
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		p := client(t, configFor(server)).workOn(d)
		if _, err := lambdabiz.Start(t.Context(), p.Engine, d, "R", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if err := p.RaiseEvent(t.Context(), "R", "photo", 1); err != nil {
			t.Fatal(err)
		}
		<-time.After(62 * time.Second)
		if s := lookAt(t, p.Engine, "R"); s.Blocked == nil || !strings.Contains(s.Blocked.Reason, "photo") {
			t.Errorf("it is %s, blocked %v", s.Status, s.Blocked)
		}
		p.stop()
		<-time.After(time.Hour) // what is being read ends
	})
}
