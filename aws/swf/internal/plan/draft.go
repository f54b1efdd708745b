package plan

import (
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Config is what plans have to know of their backend.
type Config struct {
	TaskList        string        // of children of runs driven by hand, whose own lists have no worker
	DecisionTimeout time.Duration // of new runs
	LambdaTimeout   time.Duration // of functions whose calls say none
	BeatTimeout     time.Duration
	Store           bool // there is one: ids that must be new are reserved in it
}

// Task is a decision task.
type Task struct {
	Fold  *history.Fold // the run, as the task found it
	Fence int64

	// A journal was sent as a signal of the run to itself: SWF will not let this decision close the run, and gives
	// another one after it, if the signal arrived, which only Arrived says for sure.
	Sent, Arrived bool
}

// Wants is what an answer needs from outside, in the order in which it is to be done. Numbers are places in the commit.
type Wants struct {
	Reserve  []Reserve
	Raises   []int         // events to be sent at once: only an answer of SWF tells what becomes of them
	Controls []int         // to be done
	Children []*history.Op // whose latest runs are looked for
}

// Reserve asks for the id of a child that must never have been used.
type Reserve struct {
	Index int                 // of the start in its commit
	Start *lambdabiz.RunStart // with the queue that it will have
}

// Found is what has come of Wants.
type Found struct {
	Reserved map[int]Reserved
	Raised   map[int]error    // nil, or what the raise has ended with
	Children map[int64]string // SWF's run ids by the numbers of the operations; "" for a child that has ended
}

// Reserved is what became of a reservation.
type Reserved struct {
	RunID string // of the child
	Err   error  // why the id cannot be had
}

// Answer is an answer to a decision task.
type Answer struct {
	Journal   wire.Journal
	Decisions []types.Decision
	Types     []Type        // to be registered before it is sent
	After     *history.Fold // the run as it is after it
	Closes    bool          // it ends the run
	Plain     bool          // it is a journal and no more
}

// Type is a type of workflows or activities.
type Type struct {
	Activity bool
	Name     string
}

// Draft is an answer that lacks what it wants from outside.
type Draft struct {
	Wants Wants

	config   Config
	task     Task
	commit   *lambdabiz.Commit // nil for none
	complete func(d *Draft) error
	answer   Answer

	found Found
	now   time.Time
	bytes int       // of the inputs of what it begins
	more  bool      // there was more to begin than goes into one request
	retry time.Time // when SWF shall be asked again for what it had no room for; zero for nothing

	timeouts bool // a wait's time-out is in it, which only a reader of the history can decide
}

func draft(config Config, t Task) *Draft {
	return &Draft{config: config, task: t, answer: Answer{After: t.Fold.Clone()}}
}

// Answer completes the answer, at the time. A draft is completed once.
func (d *Draft) Answer(found Found, now time.Time) (*Answer, error) {
	d.found, d.now = found, now
	if err := d.complete(d); err != nil {
		return nil, err
	}
	return &d.answer, nil
}

func (d *Draft) add(x types.Decision) { d.answer.Decisions = append(d.answer.Decisions, x) }

// record puts an operation as it is into the journal, if it is not there already; see refresh.
func (d *Draft) record(o *history.Op) {
	ops := &d.answer.Journal.Ops
	if !slices.ContainsFunc(*ops, func(r wire.Record) bool { return r.Number == o.Number }) {
		*ops = append(*ops, wire.RecordOf(&o.Operation))
	}
}

// has reports whether a change belongs to an operation of the run, or to none.
func (d *Draft) has(operation int64) bool {
	return operation == 0 || d.answer.After.Find(operation) != nil
}

// recorded is the journal's record of an operation; nil if it has none.
func (d *Draft) recorded(number int64) *wire.Record {
	ops := d.answer.Journal.Ops
	if i := slices.IndexFunc(ops, func(r wire.Record) bool { return r.Number == number }); i >= 0 {
		return &ops[i]
	}
	return nil
}

func (d *Draft) workflowType(name string) (*types.WorkflowType, error) {
	if err := wire.CheckLength("orchestration name", name); err != nil {
		return nil, err
	}
	d.answer.Types = append(d.answer.Types, Type{Name: name})
	return &types.WorkflowType{Name: aws.String(wire.EncodeID(name)), Version: aws.String(wire.TypeVersion)}, nil
}

func (d *Draft) activityType(name string) (*types.ActivityType, error) {
	if err := wire.CheckLength("task name", name); err != nil {
		return nil, err
	}
	d.answer.Types = append(d.answer.Types, Type{Activity: true, Name: name})
	return &types.ActivityType{Name: aws.String(wire.EncodeID(name)), Version: aws.String(wire.TypeVersion)}, nil
}

// isUnfit reports that SWF will never take what an operation asks for.
func isUnfit(err error) bool {
	return errors.Is(err, lambdabiz.ErrTooLarge) || errors.Is(err, lambdabiz.ErrInvalidPayload)
}

// refuse ends an operation of the commit that is being decided.
func refuse(o *history.Op, err error, at time.Time) {
	o.Status, o.Error, o.Result, o.EndedAt = lambdabiz.StatusFailed, lambdabiz.FailureOf(err), nil, at
}
