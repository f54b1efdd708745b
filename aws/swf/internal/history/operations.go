package history

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Operations are those of a run, with what SWF has open for them.
type Operations struct {
	Ops     []*Op          // in the order of their numbers
	Changed map[int64]bool // those that the store does not have as they are
	Wake    *Timer         // the timer that wakes the run; nil for none

	// What is open, as SWF counts it.
	OpenWork     int // activities and Lambda functions
	OpenTimers   int // Wake included
	OpenChildren int

	byEvent map[int64]*Op   // what is open, by the event that has scheduled it
	cancels map[int64]int64 // operations of children, by the event that began to cancel them
}

// Op is an operation with what SWF has open for it.
type Op struct {
	lambdabiz.Operation
	Attempt  *wire.Attempt
	Open     int64  // the event that scheduled what is open; 0 for nothing
	HomeID   string // the id under which it is open
	Stopping bool   // a cancellation was asked for
	deaths   int    // workers that have died with an attempt

	// Of a raised event.
	Key   string // as its control says
	Again bool   // it is still to be raised

	// Of a child.
	Start    *wire.Child // how it is to be started
	Begun    bool
	Child    string // SWF's run id of it, once it has started
	Told     bool   // it has got its cancellation, or nobody will ever get it
	detached bool

	// SWF had no room for it.
	refusals  int       // in a row
	NotBefore time.Time // when SWF is asked again
}

// Timer is the timer that makes a run due at a time.
type Timer struct {
	event int64
	ID    string
	At    time.Time
}

// news is what an event about an operation means to its run besides.
type news struct {
	due    bool               // the engine wants to know of it
	wake   bool               // the timer that wakes the run has fired
	denied string             // a decision that SWF does not permit
	child  *lambdabiz.Message // what a child has come to
}

func newOperations() Operations {
	return Operations{Changed: map[int64]bool{}, byEvent: map[int64]*Op{}, cancels: map[int64]int64{}}
}

func (p *Operations) clone() Operations {
	c := *p
	c.Ops = make([]*Op, len(p.Ops))
	byOld := make(map[*Op]*Op, len(p.Ops))
	for i, o := range p.Ops {
		n := *o
		c.Ops[i], byOld[o] = &n, &n
	}
	c.byEvent = make(map[int64]*Op, len(p.byEvent))
	for event, o := range p.byEvent {
		c.byEvent[event] = byOld[o]
	}
	c.Changed, c.cancels = maps.Clone(p.Changed), maps.Clone(p.cancels)
	return c
}

// Find is the operation with a number; nil if there is none.
func (p *Operations) Find(number int64) *Op {
	i, found := p.search(number)
	if !found {
		return nil
	}
	return p.Ops[i]
}

func (p *Operations) search(number int64) (int, bool) {
	return slices.BinarySearchFunc(p.Ops, number, func(o *Op, n int64) int { return int(o.Number - n) })
}

// Put inserts or replaces an operation by its number; what is open for it stays.
func (p *Operations) Put(rec *wire.Record) *Op {
	i, found := p.search(rec.Number)
	if !found {
		p.Ops = slices.Insert(p.Ops, i, &Op{})
	}
	o := p.Ops[i]
	o.Operation = rec.Operation()
	if rec.Attempt != nil {
		o.Attempt = rec.Attempt
	}
	if rec.Child != nil {
		o.Start = rec.Child
	}
	if rec.Raise != nil && o.Open == 0 && !o.Status.Ended() {
		o.Key, o.Again = rec.Raise.Key, true
	}
	p.Changed[o.Number] = true
	return o
}

// StopTimer forgets the timer of an operation, which a decision cancels.
func (p *Operations) StopTimer(o *Op) {
	delete(p.byEvent, o.Open)
	o.Open = 0
	p.OpenTimers--
}

// ended takes the operation that an event says has ended from what is open. It is nil for one that is not known, or has
// been begun anew meanwhile.
func (p *Operations) ended(event int64) *Op {
	o := p.byEvent[event]
	if o == nil || o.Open != event {
		return nil
	}
	delete(p.byEvent, event)
	o.Open = 0
	return o
}

// ToBegin reports whether a child is still to be started, or an event to be raised.
func (o *Op) ToBegin() bool { return o.Again || o.Start != nil && !o.Begun }

// Unwanted reports whether a child, once it is cancelled, must still be told so: SWF has started it for this operation,
// or is about to, it has not ended, and nobody has told it. A detached one is left alone.
func (o *Op) Unwanted() bool {
	return o.Kind == lambdabiz.KindChild && o.Open != 0 && !o.detached && !o.Told
}

// noRoom notes that SWF had no room for an operation now. It reports false for what SWF will never take.
func (o *Op) noRoom(cause string, at time.Time) bool {
	if !strings.HasSuffix(cause, "_RATE_EXCEEDED") && !strings.HasSuffix(cause, "_LIMIT_EXCEEDED") {
		return false
	}
	o.NotBefore = at.Add(min(time.Second<<min(o.refusals, 10), time.Minute))
	o.refusals++
	return true
}

// initiated notes a raised event or a child that SWF is about to deliver or to start.
func (p *Operations) initiated(event int64, text *string) {
	var c wire.Control
	if wire.Open(aws.ToString(text), &c) != nil {
		return
	}
	if o := p.Find(c.Op); o != nil {
		p.byEvent[event] = o
		o.Open, o.detached, o.Key, o.Again = event, c.Detached, c.Key, false
		if o.Kind == lambdabiz.KindChild {
			o.Begun = true
			p.OpenChildren++
		}
	}
}
