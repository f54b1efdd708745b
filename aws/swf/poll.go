package swf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// polls is a task list that this process asks for decision tasks, or for activities. A poll is never cancelled, for
// its task may go to the dead connection: when its asker has gone, what it brings waits for the next one.
type polls[T any] struct {
	b    *Backend
	most int                                   // polls at the same time
	ask  func(ctx context.Context) (*T, error) // asks SWF once; nil when it had nothing
	gone func(t *T) bool                       // reports that SWF has a task again that nobody took; nil for never
	idle func(l *polls[T])                     // hears of the end of a poll; nil for nobody

	users int // guarded by Backend.listing

	mu      sync.Mutex
	polling int
	ready   []*T               // brought by polls whose askers had gone, or put back
	later   map[*T]*time.Timer // put back, and not to be tried again yet
	askers  []chan<- polled[T] // in the order in which they came; each gets one answer
}

// polled is what a poll has brought.
type polled[T any] struct {
	task *T
	err  error
}

// task is a decision task with the run's fold.
type task struct {
	token string
	fence int64
	fold  *history.Fold
	exec  *types.WorkflowExecution
	list  string
	until time.Time // when SWF takes the task back
	tries int       // that have failed
}

// answerTime is kept of a decision's time for the way of its task here and of the answer back.
const answerTime = time.Second

// use gives f the decision tasks of a task list. The list is forgotten when nobody uses it and nothing is on it: each run
// driven by hand has one of its own.
func (b *Backend) use(name string, f func(l *polls[task])) {
	b.listing.Lock()
	l := b.lists[name]
	if l == nil {
		l = &polls[task]{
			b: b, most: b.config.Pollers,
			ask:  func(ctx context.Context) (*task, error) { return b.pollDecision(ctx, name) },
			gone: func(t *task) bool { return !time.Now().Before(t.until) },
			idle: func(l *polls[task]) { b.drop(name, l) },
		}
		b.lists[name] = l
	}
	l.users++
	b.listing.Unlock()
	defer func() {
		b.listing.Lock()
		l.users--
		b.listing.Unlock()
		b.drop(name, l)
	}()
	f(l)
}

// drop forgets a list that is of no use now.
func (b *Backend) drop(name string, l *polls[task]) {
	b.listing.Lock()
	defer b.listing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 && l.polling == 0 && len(l.askers) == 0 && len(l.ready) == 0 && len(l.later) == 0 && b.lists[name] == l {
		delete(b.lists, name)
	}
}

// nextOf takes a decision task of a list; see next.
func (b *Backend) nextOf(ctx context.Context, name string) (t *task, err error) {
	b.use(name, func(l *polls[task]) { t, err = l.next(ctx) })
	return t, err
}

// putBackOn puts a decision task back; see putBack.
func (b *Backend) putBackOn(t *task, wait time.Duration) {
	b.use(t.list, func(l *polls[task]) { l.putBack(t, wait) })
}

// next returns a task, or nil when SWF had none within its long poll. After the end of ctx no poll begins.
func (l *polls[T]) next(ctx context.Context) (*T, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	answer := make(chan polled[T], 1)
	l.mu.Lock()
	if l.gone != nil {
		l.ready = slices.DeleteFunc(l.ready, l.gone)
	}
	if len(l.ready) > 0 {
		t := l.ready[0]
		l.ready = l.ready[1:]
		l.mu.Unlock()
		return t, nil
	}
	l.askers = append(l.askers, answer)
	for l.polling < l.most && l.b.beginPoll() {
		l.polling++
		go l.poll()
	}
	stuck := l.polling == 0
	if stuck {
		l.askers = nil
	}
	l.mu.Unlock()
	if stuck {
		return nil, errClosed
	}
	select {
	case end := <-answer:
		return end.task, end.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.askers = slices.DeleteFunc(l.askers, func(a chan<- polled[T]) bool { return a == answer })
	select {
	case end := <-answer:
		if end.task != nil {
			l.giveLocked(end)
		}
	default:
	}
	return nil, context.Cause(ctx)
}

// giveLocked hands what a poll has brought to the asker that waits longest, or keeps a task for the next one.
func (l *polls[T]) giveLocked(end polled[T]) {
	switch {
	case len(l.askers) > 0:
		a := l.askers[0]
		l.askers = l.askers[1:]
		a <- end
	case end.task != nil:
		l.ready = append(l.ready, end.task)
	}
}

// poll asks once, and gives what it gets to the asker that waits longest.
func (l *polls[T]) poll() {
	defer l.b.polls.Done()
	t, err := l.ask(l.b.life)
	if l.idle != nil {
		defer l.idle(l)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polling--
	l.giveLocked(polled[T]{t, err})
	if l.polling == 0 { // nobody would answer the others
		for _, a := range l.askers {
			a <- polled[T]{}
		}
		l.askers = nil
	}
}

// putBack gives a task back that could not be dealt with, for another try after a while.
func (l *polls[T]) putBack(t *T, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait <= 0 {
		l.giveLocked(polled[T]{task: t})
		return
	}
	if l.later == nil {
		l.later = map[*T]*time.Timer{}
	}
	l.later[t] = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, waits := l.later[t]; waits {
			delete(l.later, t)
			l.giveLocked(polled[T]{task: t})
		}
	})
}

// takeReady takes what polls have brought and nobody has asked for, and what was put back.
func (l *polls[T]) takeReady() []*T {
	l.mu.Lock()
	defer l.mu.Unlock()
	ready := l.ready
	l.ready = nil
	for t, timer := range l.later {
		timer.Stop()
		ready = append(ready, t)
	}
	clear(l.later)
	return ready
}

// beginPoll counts a poll, unless the backend is closed.
func (b *Backend) beginPoll() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.polls.Add(1)
	return true
}

// beginCall counts a commit, unless the backend is closed.
func (b *Backend) beginCall() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.calls.Add(1)
	return true
}

// pollDecision takes a decision task and reads its run. The answer is nil when there was none.
func (b *Backend) pollDecision(ctx context.Context, name string) (*task, error) {
	out, err := b.poller.PollForDecisionTask(ctx, &swf.PollForDecisionTaskInput{
		Domain: &b.config.Domain, TaskList: &types.TaskList{Name: &name}, Identity: identity(),
		MaximumPageSize: wire.PageSize,
	}, pollOnce)
	if err != nil {
		return nil, fmt.Errorf("poll task list %s: %w", name, err)
	}
	if aws.ToString(out.TaskToken) == "" {
		return nil, nil //nolint:nilnil // an empty answer is no error
	}
	until := time.Now().Add(b.config.DecisionTimeout - answerTime)
	t := &task{
		token: *out.TaskToken, fence: out.StartedEventId, exec: out.WorkflowExecution, list: name, until: until,
	}
	for {
		if t.fold, err = b.foldTask(ctx, out, name); err == nil {
			b.keep(t.fold)
			return t, nil
		}
		t.tries++
		if t.tries == foldTries || sleep(ctx, retryBackoff(t.tries)) != nil {
			return nil, errors.Join(err, b.giveBack(context.WithoutCancel(ctx), t, giveBackWait))
		}
	}
}

const (
	foldTries    = 4                // to read a history, while no other poll of the process may begin
	giveBackWait = 30 * time.Second // until a task comes again that cannot be dealt with here
)

// retryBackoff is the wait before a task is tried again, after so many tries: 0.1 s, doubled up to 10 s.
func retryBackoff(tries int) time.Duration {
	return min(100*time.Millisecond<<min(tries-1, 10), 10*time.Second)
}

// notTaken deals with a decision task that this process could not look at, because the store or SWF has failed: else
// its run would stand still until the task's time-out, which counts as a crash. It is tried again here, while other
// tasks go on, and given back before its time is over. When the asker is gone it waits for the next one.
func (b *Backend) notTaken(ctx context.Context, t *task, cause error) error {
	if ctx.Err() != nil {
		b.putBackOn(t, 0)
		return cause
	}
	t.tries++
	wait := retryBackoff(t.tries)
	b.log.Warn("a decision task could not be taken, it is tried again", "orchestration", t.fold.Info.ID,
		"try", t.tries, "error", cause)
	if time.Now().Add(wait + answerTime).Before(t.until) {
		b.putBackOn(t, wait)
		return nil
	}
	return b.giveBack(ctx, t, giveBackWait)
}

// identity names this process in the history.
func identity() *string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return aws.String(wire.Cut("lambdabiz "+host+" "+strconv.Itoa(os.Getpid()), 250))
}

// Quiesce waits until the polls in flight have ended, or ctx has, and gives back the tasks that they
// brought and nobody took. A Lambda function calls it before it returns: what comes to a frozen process
// would wait for its time-out.
func (b *Backend) Quiesce(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		b.polls.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	b.listing.Lock()
	lists := slices.Collect(maps.Values(b.lists))
	b.listing.Unlock()
	b.mu.Lock()
	activities := slices.Collect(maps.Values(b.activity))
	b.mu.Unlock()
	for _, l := range activities {
		b.giveUp(ctx, l.takeReady())
	}
	for _, l := range lists {
		for _, t := range l.takeReady() {
			if err := b.giveBack(ctx, t, 0); err != nil && !errors.Is(err, context.Canceled) {
				b.log.Warn("a decision task was not given back, it comes again after its time-out",
					"orchestration", t.fold.Info.ID, "error", err)
			}
		}
	}
}
