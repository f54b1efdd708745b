package history

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

var foldEpoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// book writes a history.
type book struct {
	t      *testing.T
	events []types.HistoryEvent
}

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{t: t}
	b.add(types.EventTypeWorkflowExecutionStarted, func(e *types.HistoryEvent) {
		e.WorkflowExecutionStartedEventAttributes = &types.WorkflowExecutionStartedEventAttributes{
			WorkflowType: &types.WorkflowType{Name: aws.String("D")}, TaskList: &types.TaskList{Name: aws.String("list")},
			Input: aws.String(b.text(&wire.Start{Version: wire.Version, RunID: "run", At: foldEpoch})),
		}
	})
	return b
}

func (b *book) text(v any) string {
	b.t.Helper()
	text, err := wire.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func (b *book) add(kind types.EventType, set func(e *types.HistoryEvent)) int64 {
	e := types.HistoryEvent{
		EventId: int64(len(b.events) + 1), EventType: kind,
		EventTimestamp: aws.Time(foldEpoch.Add(time.Duration(len(b.events)) * time.Second)),
	}
	set(&e)
	b.events = append(b.events, e)
	return e.EventId
}

// on is an event that is told by its attributes.
func (b *book) on(attributes any) int64 {
	b.t.Helper()
	kind := reflect.TypeOf(attributes).Elem().Name()
	return b.add(types.EventType(strings.TrimSuffix(kind, "EventAttributes")), func(e *types.HistoryEvent) {
		reflect.ValueOf(e).Elem().FieldByName(kind).Set(reflect.ValueOf(attributes))
	})
}

// control is what comes back with an event about an operation.
func (b *book) control(op int64) *string {
	return aws.String(b.text(&wire.Control{Version: wire.Version, Op: op}))
}

// recorded is a decision task that was answered with operations.
func (b *book) recorded(ops ...wire.Record) *book {
	b.completed(b.started(), wire.Journal{At: foldEpoch, Ops: ops})
	return b
}

func (b *book) started() int64 {
	return b.add(types.EventTypeDecisionTaskStarted, func(*types.HistoryEvent) {})
}

func (b *book) completed(fence int64, j wire.Journal) {
	j.Version = wire.Version
	b.add(types.EventTypeDecisionTaskCompleted, func(e *types.HistoryEvent) {
		e.DecisionTaskCompletedEventAttributes = &types.DecisionTaskCompletedEventAttributes{
			StartedEventId: fence, ExecutionContext: aws.String(b.text(&j)),
		}
	})
}

func (b *book) signal(name string, s *wire.Signal) int64 {
	s.Version = wire.Version
	return b.add(types.EventTypeWorkflowExecutionSignaled, func(e *types.HistoryEvent) {
		e.WorkflowExecutionSignaledEventAttributes = &types.WorkflowExecutionSignaledEventAttributes{
			SignalName: &name, Input: aws.String(b.text(s)),
		}
	})
}

func (b *book) fold() *Fold {
	b.t.Helper()
	f := New("id", "home")
	if err := f.ApplyAll(b.events); err != nil {
		b.t.Fatal(err)
	}
	return f
}

func stepOf(n int64, result string) wire.Journal {
	return wire.Journal{At: foldEpoch, Ops: []wire.Record{{
		Number: n, ID: fmt.Sprint("step", n), Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded, Result: wire.Payload(result),
	}}}
}

func (b *book) describe(f *Fold) string {
	b.t.Helper()
	rec := f.Record()
	text, err := json.Marshal(&rec)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(string(text), f.Applied, f.News, f.Last, f.order, f.OpenWork, f.OpenTimers)
}

// recordOf is an operation that waits.
func recordOf(n int64, kind lambdabiz.Kind, set ...func(r *wire.Record)) wire.Record {
	r := wire.Record{
		Number: n, ID: fmt.Sprint("op", n), Kind: kind, Name: "N", Status: lambdabiz.StatusScheduled, Attempts: 1, Target: "T",
		Scheduled: foldEpoch,
	}
	for _, f := range set {
		f(&r)
	}
	return r
}

// story is what has happened to operation 1, and what it comes to.
type story struct {
	kind   lambdabiz.Kind
	tell   func(b *book)
	status lambdabiz.Status
	result string
	text   string           // in the error
	tried  *lambdabiz.Tried // the attempt is over, the operation is not
	denied string
	quiet  bool // the engine need not know
	open   bool // something of it is
}

func (c *story) check(t *testing.T) {
	t.Helper()
	b := newBook(t).recorded(recordOf(1, c.kind, func(r *wire.Record) {
		if c.kind == lambdabiz.KindChild {
			r.Child = &wire.Child{List: "list"}
		}
	}))
	before := b.fold().News
	c.tell(b)
	f := b.fold()
	o := f.Find(1)
	if o.Status != c.status || string(o.Result) != c.result {
		t.Errorf("it is %s %s, want %s %s", o.Status, o.Result, c.status, c.result)
	}
	if (o.Error != nil) != (c.text != "") || o.Error != nil && !strings.Contains(o.Error.Message, c.text) {
		t.Errorf("its error is %+v, want %q", o.Error, c.text)
	}
	if (o.Tried != nil) != (c.tried != nil) || o.Tried != nil && *o.Tried != *c.tried {
		t.Errorf("the attempt came to %+v, want %+v", o.Tried, c.tried)
	}
	if f.Denied != c.denied {
		t.Errorf("denied is %q", f.Denied)
	}
	if quiet := f.News == before; quiet != c.quiet || !quiet && f.News != f.Last {
		t.Errorf("its news are event %d of %d", f.News, f.Last)
	}
	counted := f.OpenWork+f.OpenTimers+f.OpenChildren > 0
	if open := o.Open != 0; open != c.open || open != counted && c.kind != lambdabiz.KindRaise {
		t.Errorf("open is %v, and %d, %d and %d are", open, f.OpenWork, f.OpenTimers, f.OpenChildren)
	}
	if len(f.byEvent) > 0 != c.open {
		t.Errorf("%d events wait for what follows", len(f.byEvent))
	}
	if c.status != lambdabiz.StatusScheduled && !f.Changed[1] {
		t.Error("the store would not get it")
	}
}

func checkAll(t *testing.T, stories map[string]story) {
	t.Helper()
	for name, c := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.check(t)
		})
	}
}
