package lambdabiz

import (
	"context"
	"time"
)

// The options are typed by place: one that makes no sense somewhere does not compile there.
type (
	// CallOption is an option of [Call], [CallTask], [Step] and of service calls.
	CallOption interface{ applyCall(c *callOptions) }
	// WaitOption is an option of [WaitForEvent].
	WaitOption interface{ applyWait(w *waitOptions) }
	// RaiseOption is an option of [Engine.RaiseEvent], [Run.Raise] and [Event.Raise].
	RaiseOption interface{ applyRaise(r *raiseOptions) }
	// RaiseFromOption is an option of [RaiseEvent] and [Event.RaiseFrom], and a [RaiseOption] as well.
	RaiseFromOption interface {
		RaiseOption
		applyRaiseFrom()
	}
	// ChildOption is an option of [CallChild] and [StartChild].
	ChildOption interface{ applyChild(c *childOptions) }
	// StartOption is an option of [Start].
	StartOption interface{ applyStart(s *RunStart) }
	// MapOption is an option of [Map].
	MapOption interface{ applyMap(m *mapOptions) }
	// TimerOption is an option of [Sleep], [SleepUntil] and [Now].
	TimerOption interface{ applyTimer(t *timerOptions) }
	// BranchOption is an option of [Go].
	BranchOption interface{ applyBranch(b *branchOptions) }
)

type callOptions struct {
	retry     Backoff
	timeout   time.Duration
	deadline  time.Duration
	heartbeat time.Duration
	key       string
	values    []contextValue
	renaming
}

type contextValue struct{ key, value any }

type waitOptions struct {
	name    string
	timeout time.Duration
	until   time.Time
	former  *former
}

type mapOptions struct {
	concurrency int
	former      *former
}

type raiseOptions struct {
	key   string
	keyed bool
	until time.Time
	renaming

	afterEnd bool
	receipt  *Receipt // nil for a caller who does not ask
}

type childOptions struct {
	RunStart
	renaming
}

// renaming is what an effect says of its former ids.
type renaming struct {
	former     *former // nil for none
	notRenamed bool
}

type (
	timerOptions  struct{ former *former }
	branchOptions struct{ former *former }
)

// Retry sets how failed attempts are repeated. Without it there is one attempt.
func Retry(b Backoff) CallOption { return retryOption(b) }

type retryOption Backoff

func (r retryOption) applyCall(c *callOptions) { c.retry = Backoff(r) }

// TimeoutOption is what [Timeout] returns.
type TimeoutOption time.Duration

// Timeout limits one attempt of a call or step, or the time that an event is waited for. A timed-out
// attempt fails with context.DeadlineExceeded; its late result is dropped, though its body may still
// run while the next attempt does. 0 or less is over at once. A timed-out wait returns *EventTimeoutError.
func Timeout(d time.Duration) TimeoutOption { return TimeoutOption(d) }

func (t TimeoutOption) applyCall(c *callOptions) { c.timeout = max(time.Duration(t), 1) }
func (t TimeoutOption) applyWait(w *waitOptions) { w.timeout = max(time.Duration(t), 1) }

// DeadlineOption is what [Deadline] returns.
type DeadlineOption time.Duration

// Deadline limits all attempts of a call together, waits between them included, counted from when the
// operation is recorded; or a whole orchestration, counted from its start by the clock of who starts it. An attempt
// that it cuts fails
// with context.DeadlineExceeded; when the next one would begin after it, the call fails with the last
// error. An orchestration's context ends, as in a cancellation, and operations
// that wait end as CANCELLED with context.DeadlineExceeded. 0 or less is over at once.
func Deadline(d time.Duration) DeadlineOption { return DeadlineOption(d) }

func (d DeadlineOption) applyCall(c *callOptions) { c.deadline = max(time.Duration(d), 1) }
func (d DeadlineOption) applyStart(s *RunStart)   { s.Deadline = roundUp(now().Add(time.Duration(d))) }
func (d DeadlineOption) applyChild(c *childOptions) {
	c.Deadline = roundUp(now().Add(time.Duration(d)))
}

// HeartbeatTimeout fails an attempt that has not called [Heartbeat] for that long. 0 or less means none.
func HeartbeatTimeout(d time.Duration) CallOption { return heartbeatOption(d) }

type heartbeatOption time.Duration

func (h heartbeatOption) applyCall(c *callOptions) { c.heartbeat = time.Duration(h) }

// IdempotencyKey replaces the key that every attempt of the operation carries.
func IdempotencyKey(key string) CallOption { return keyOption(key) }

type keyOption string

func (k keyOption) applyCall(c *callOptions) { c.key = string(k) }

// WithValue puts a value into the context of the body. It is not recorded: a resumed run gives its
// own. It is for what must not lie in the history, like a credential. Where the home performs the
// operation (Amazon SWF) the value cannot reach the body: the call returns *UnsupportedError with
// [FeatureValue], and nothing is recorded.
func WithValue(key, value any) CallOption { return contextValue{key, value} }

func (v contextValue) applyCall(c *callOptions) { c.values = append(c.values, v) }

// Named sets the name of the event that is waited for, when it is not the operation's id.
func Named(event string) WaitOption { return namedOption(event) }

type namedOption string

func (n namedOption) applyWait(w *waitOptions) { w.name = string(n) }

// Until limits the time that an event is waited for by a point in time. The first recorded one counts: a resumed run keeps
// it. With [Timeout] beside it the earlier one counts. A wait that is over by then returns *EventTimeoutError; one that
// is in the past is over at once, unless the event had arrived by then.
func Until(t time.Time) WaitOption { return untilOption(t) }

type untilOption time.Time

func (u untilOption) applyWait(w *waitOptions) { w.until = time.Time(u).UTC() }

// Key gives an event a key: a second event with the key is acknowledged and does nothing, until the
// orchestration is purged; [WithReceipt] tells which one it was. An empty key is [ErrInvalidID]: a caller that has none
// leaves the option out.
func Key(key string) RaiseFromOption { return eventKey(key) }

type eventKey string

func (k eventKey) applyRaise(r *raiseOptions) { r.key, r.keyed = string(k), true }
func (eventKey) applyRaiseFrom()              {}

// BeforeStart keeps the event for a start to come, for that long, when the orchestration does not exist. One that has ended
// is [ErrClosed] all the same: what is said to it has come too late. With 0 or less nothing is kept.
func BeforeStart(keep time.Duration) RaiseFromOption { return beforeStart{keep: keep} }

// BeforeRestart is [BeforeStart] for an id that is used again: it keeps the event also when the orchestration has ended, for
// its next start.
func BeforeRestart(keep time.Duration) RaiseFromOption { return beforeStart{keep: keep, ended: true} }

type beforeStart struct {
	keep  time.Duration
	ended bool
}

func (b beforeStart) applyRaise(r *raiseOptions) {
	r.until, r.afterEnd = roundUp(now().Add(b.keep)), b.ended
}
func (beforeStart) applyRaiseFrom() {}

// OnUsedID sets what a start does when the id is used. The default is UseExisting.
func OnUsedID(p StartPolicy) StartOption { return policyOption(p) }

type policyOption StartPolicy

func (p policyOption) applyStart(s *RunStart) { s.Policy = StartPolicy(p) }

// TagsOption is what [Tags] returns.
type TagsOption map[string]string

// Tags labels a run for lists. They are copied, and do not change later. Each name has 1 to 256 bytes, each
// value 256 at most, and all together 64 KiB, else the start is refused with [ErrTooLarge]; what is not UTF-8 or has
// control characters with [ErrInvalidID].
func Tags(tags map[string]string) TagsOption { return tags }

func (t TagsOption) applyStart(s *RunStart)     { s.Tags = t }
func (t TagsOption) applyChild(c *childOptions) { c.Tags = t }

// OnQueueOption is what [OnQueue] returns.
type OnQueueOption string

// OnQueue gives a run to the workers of one queue. Homes without queues return *UnsupportedError. On
// Amazon SWF a queue is a task list; the default is that of the backend's configuration.
func OnQueue(name string) OnQueueOption { return OnQueueOption(name) }

func (q OnQueueOption) applyStart(s *RunStart)     { s.Queue = string(q) }
func (q OnQueueOption) applyChild(c *childOptions) { c.Queue = string(q) }

// ChildID sets the orchestration id of a child. The default is the parent's id, "~-", and the operation's path. An id with
// "~-" in it is ErrInvalidID: only those that are made for children have it.
func ChildID(id string) ChildOption { return givenChildID(id) }

type givenChildID string

func (id givenChildID) applyChild(c *childOptions) { c.ID, c.Policy = string(id), RejectExisting }

// Concurrency limits how many items of a [Map] are worked on at the same time. The default, and what 0 or
// less means, is all.
func Concurrency(n int) MapOption { return concurrency(n) }

type concurrency int

// applyBranch hands on what was said of something that is made of branches.
func (b branchOptions) applyBranch(to *branchOptions) { *to = b }

func (c concurrency) applyMap(m *mapOptions) { m.concurrency = int(c) }

func (c *callOptions) withValues(ctx context.Context) context.Context {
	for _, v := range c.values {
		ctx = context.WithValue(ctx, v.key, v.value) //nolint:fatcontext // each value is one of a few
	}
	return ctx
}

// WithReceipt tells the caller of [Engine.RaiseEvent] whether the event is new or its [Key] was known: r is set before the
// raise returns, to [ReceiptUnknown] whenever that returns an error.
//
// ReceiptRepeated does not say who raised it first. A caller who raises again after ErrOutcomeUnknown may meet the event
// that its own first try has added. What the engine itself asks again, because the answer of the home got lost, is never
// reported as repeated.
//
// In [RaiseEvent] it does not compile: an orchestration's code runs again, and would be told something else by then.
func WithReceipt(r *Receipt) RaiseOption { return receiptOption{r} }

type receiptOption struct{ to *Receipt }

func (o receiptOption) applyRaise(r *raiseOptions) { r.receipt = o.to }

// give tells a caller who asks.
func (o *raiseOptions) give(r Receipt) {
	if o.receipt != nil {
		*o.receipt = r
	}
}

// FormerlyOption is what [Formerly] and [FormerlyAt] return: an option of everything that has an id.
type FormerlyOption struct{ former former }

// Formerly says under which ids an operation or a branch was recorded before it was renamed, in the same
// scope. What is recorded under one of them is taken as this operation's: an effect that has ended is not
// repeated, one that is open goes on. Of a branch, or of a [Map], it renames all that is inside.
//
// The record keeps the path that it has, and attempts keep the idempotency key of that path. What is new is
// recorded under the new id. So a third name needs both earlier ones, Formerly("pay", "charge"): keep them
// until the last run has ended that was recorded under them. If several are recorded, the operation's own id
// comes first, and then the first of the list. An id that is someone's former one must not be used for
// something else meanwhile. The kind and the task's name must be the same, or the run is blocked.
//
// In [Engine.RaiseEvent] it means nothing. A [Race] needs none: losers have lost, so that a renamed race is won
// by the same branch again.
func Formerly(ids ...string) FormerlyOption { return FormerlyOption{former{ids: ids}} }

// FormerlyAt is [Formerly] for what was moved into a branch, out of one, or from one to another. It takes whole
// paths as the state shows them, with the ids of the branches before: "parcels/tea/pack".
func FormerlyAt(paths ...string) FormerlyOption { return FormerlyOption{former{paths: paths}} }

func (f FormerlyOption) applyCall(c *callOptions) { c.former = c.former.and(f.former) }

func (f FormerlyOption) applyWait(w *waitOptions) { w.former = w.former.and(f.former) }

func (f FormerlyOption) applyRaise(r *raiseOptions) { r.former = r.former.and(f.former) }

func (FormerlyOption) applyRaiseFrom() {}

func (f FormerlyOption) applyChild(c *childOptions) { c.former = c.former.and(f.former) }

func (f FormerlyOption) applyTimer(t *timerOptions) { t.former = t.former.and(f.former) }

func (f FormerlyOption) applyBranch(b *branchOptions) { b.former = b.former.and(f.former) }

func (f FormerlyOption) applyMap(m *mapOptions) { m.former = m.former.and(f.former) }

// NotRenamedOption is what [NotRenamed] returns.
type NotRenamedOption struct{}

// NotRenamed says that an operation is new although it looks like a recorded one under another id, and lets it
// go on. Without it a run is blocked before a new task, service call, child or raised event that has the same
// name and input as a recorded one which the code has not come to: most often that one was renamed, and would
// have its effect twice (then it needs [Formerly]). So it is before a new step with the same id as such a one in another
// scope: most often that one was moved (then it needs [FormerlyAt]). It is needed when such a call is inserted before the
// recorded one. As an option of [Define] it is said of all operations of the definition.
func NotRenamed() NotRenamedOption { return NotRenamedOption{} }

func (NotRenamedOption) applyCall(c *callOptions) { c.notRenamed = true }

func (NotRenamedOption) applyRaise(r *raiseOptions) { r.notRenamed = true }

func (NotRenamedOption) applyRaiseFrom() {}

func (NotRenamedOption) applyChild(c *childOptions) { c.notRenamed = true }

// notFormerly takes former names back: they are those of what is around the wait.
type notFormerly struct{}

func (notFormerly) applyWait(w *waitOptions) { w.former = nil }
