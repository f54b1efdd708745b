package swf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// decisionLists are the task lists that this process asks for decision tasks.
type decisionLists struct {
	*service
	config    *Config
	life      *lifetime
	folds     *folds
	histories *histories
	sender    *sender

	mu     sync.Mutex
	byName map[string]*polls[task]
}

const (
	foldTries    = 4                // to read a history, while no other poll of the process may begin
	giveBackWait = 30 * time.Second // until a task comes again that cannot be dealt with here
)

// nextOf takes a decision task of a list; see next.
func (q *decisionLists) nextOf(ctx context.Context, name string) (t *task, err error) {
	q.use(name, func(l *polls[task]) { t, err = l.next(ctx) })
	return t, err
}

// putBackOn puts a decision task back; see putBack.
func (q *decisionLists) putBackOn(t *task, wait time.Duration) {
	q.use(t.list, func(l *polls[task]) { l.putBack(t, wait) })
}

// takeReady takes what polls have brought and nobody has asked for, and what was put back.
func (q *decisionLists) takeReady() []*task {
	q.mu.Lock()
	lists := slices.Collect(maps.Values(q.byName))
	q.mu.Unlock()
	var ready []*task
	for _, l := range lists {
		ready = append(ready, l.takeReady()...)
	}
	return ready
}

// notTaken deals with a decision task that this process could not look at, because the store or SWF has failed: else
// its run would stand still until the task's time-out, which counts as a crash. It is tried again here, while other
// tasks go on, and given back before its time is over. When the asker is gone it waits for the next one.
func (q *decisionLists) notTaken(ctx context.Context, t *task, cause error) error {
	if ctx.Err() != nil {
		q.putBackOn(t, 0)
		return cause
	}
	t.tries++
	wait := retryBackoff(t.tries)
	q.log.Warn("a decision task could not be taken, it is tried again", "orchestration", t.fold.Info.ID,
		"try", t.tries, "error", cause)
	if time.Now().Add(wait + answerTime).Before(t.until) {
		q.putBackOn(t, wait)
		return nil
	}
	return q.sender.giveBack(ctx, t, giveBackWait)
}

// use gives f the decision tasks of a task list. The list is forgotten when nobody uses it and nothing is on it: each run
// driven by hand has one of its own.
func (q *decisionLists) use(name string, f func(l *polls[task])) {
	q.mu.Lock()
	l := q.byName[name]
	if l == nil {
		l = &polls[task]{
			life: q.life, most: q.config.Pollers,
			ask:  func(ctx context.Context) (*task, error) { return q.pollDecision(ctx, name) },
			gone: func(t *task) bool { return !time.Now().Before(t.until) },
			idle: func(l *polls[task]) { q.drop(name, l) },
		}
		q.byName[name] = l
	}
	l.users++
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		l.users--
		q.mu.Unlock()
		q.drop(name, l)
	}()
	f(l)
}

// drop forgets a list that is of no use now.
func (q *decisionLists) drop(name string, l *polls[task]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 && l.polling == 0 && len(l.askers) == 0 && len(l.ready) == 0 && len(l.later) == 0 && q.byName[name] == l {
		delete(q.byName, name)
	}
}

// pollDecision takes a decision task and reads its run. The answer is nil when there was none.
func (q *decisionLists) pollDecision(ctx context.Context, name string) (*task, error) {
	out, err := q.poller.PollForDecisionTask(ctx, &swf.PollForDecisionTaskInput{
		Domain: &q.domain, TaskList: &types.TaskList{Name: &name}, Identity: identity(),
		MaximumPageSize: wire.PageSize,
	}, pollOnce)
	if err != nil {
		return nil, fmt.Errorf("poll task list %s: %w", name, err)
	}
	if aws.ToString(out.TaskToken) == "" {
		return nil, nil //nolint:nilnil // an empty answer is no error
	}
	until := time.Now().Add(q.config.DecisionTimeout - answerTime)
	t := &task{
		token: *out.TaskToken, fence: out.StartedEventId, exec: out.WorkflowExecution, list: name, until: until,
	}
	for {
		if t.fold, err = q.histories.foldTask(ctx, out, name); err == nil {
			q.folds.keep(t.fold)
			return t, nil
		}
		t.tries++
		if t.tries == foldTries || sleep(ctx, retryBackoff(t.tries)) != nil {
			return nil, errors.Join(err, q.sender.giveBack(context.WithoutCancel(ctx), t, giveBackWait))
		}
	}
}

// retryBackoff is the wait before a task is tried again, after so many tries: 0.1 s, doubled up to 10 s.
func retryBackoff(tries int) time.Duration {
	return min(100*time.Millisecond<<min(tries-1, 10), 10*time.Second)
}
