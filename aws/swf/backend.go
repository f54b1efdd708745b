package swf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/swf"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// Config sets up a [Backend]. AWS is required; the zero value of everything else works.
type Config struct {
	// AWS has region, credentials, endpoint and retry mode: what config.LoadDefaultConfig returns.
	AWS aws.Config

	// Endpoint replaces AWS's own address, for a stand-in on this machine.
	Endpoint string

	// Domain is the SWF domain. The default is "LambdaBiz". It is registered on first use.
	Domain string

	// ExistingDomain makes Open look for the domain instead of registering it, and return an error when it
	// is not there: SWF never forgets a domain, so a program that only looks must not register one.
	ExistingDomain bool

	// RetentionDays is how long SWF keeps the history of a run after its end, for a domain that Open
	// registers: 1 to 90. The default is 90.
	RetentionDays int

	// TaskList is the queue of runs that name none, and the one that workers of this backend serve. The
	// default is "lambdabiz". Runs driven by hand have a list of their own each.
	TaskList string

	// LambdaRole is the ARN of the role that SWF assumes to invoke Lambda functions. Without it, calls of
	// tasks that are no Go tasks fail.
	LambdaRole string

	// LambdaTimeout is the time that a Lambda function may take when its call says none: 900 s at most,
	// which is the default.
	LambdaTimeout time.Duration

	// DecisionTimeout is how long a worker may hold a run before SWF gives it to another one: 20 s to
	// 1 hour. The default is 60 s. Steps must end 10 s before it.
	DecisionTimeout time.Duration

	// BeatTimeout is how long a worker of tasks may be silent before SWF gives its attempts up. It is
	// kept by itself, every third of it. The default is 60 s.
	BeatTimeout time.Duration

	// Pollers is how many decision tasks are asked for at the same time. The default is 1; each costs one
	// call a minute when there is nothing to do.
	Pollers int

	// Store keeps a copy of the state, optional: see [lambdabiz.Store].
	Store lambdabiz.Store

	// Logger gets what goes wrong and is mended. The default is slog.Default().
	Logger *slog.Logger
}

// Backend is [lambdabiz.Backend] on Amazon SWF. It is [lambdabiz.Queue] too: tasks and services are
// activities.
type Backend struct {
	config Config
	*shared
}

// shared is what the backends of one Open have in common; see Serving.
type shared struct {
	client *swf.Client
	poller *swf.Client // with an HTTP client that waits for long polls
	log    *slog.Logger

	numbers atomic.Int64
	polls   sync.WaitGroup // polls in flight
	calls   sync.WaitGroup // commits on their way

	listing sync.Mutex
	lists   map[string]*polls[task] // decision tasks by task list

	mu        sync.Mutex
	closed    bool
	types     map[plan.Type]bool                     // registered
	workers   map[int64]*lambdabiz.WorkerRecord      // of this process
	cache     map[string]*history.Fold               // of runs that this process has held, by SWF's run id
	order     []string                               // of cache, the oldest first
	homes     map[string]string                      // SWF's run ids by homeKey
	latest    map[string]execution                   // the last run of an id that this process has started, found or claimed
	activity  map[string]*polls[lambdabiz.TaskClaim] // activity tasks by task list
	loaded    map[string]time.Time                   // runs whose first claim has looked at the store
	unwritten map[string]*lambdabiz.Snapshot         // copies that the store has not taken, by SWF's run id
	seenOpen  map[string]time.Time                   // when runs were last seen open, by our run ids
	stop      context.CancelFunc                     // ends background work
	life      context.Context                        //nolint:containedctx // the backend's own lifetime
}

// Open checks the configuration, registers the domain if it is not there (see Config.ExistingDomain), and
// returns a backend. It reads and writes nothing else.
func Open(ctx context.Context, c Config) (*Backend, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	b := &Backend{config: c, shared: &shared{
		log: c.Logger, client: swf.NewFromConfig(c.AWS, c.options),
		poller: swf.NewFromConfig(c.AWS, longPolls, c.options),
		types:  map[plan.Type]bool{}, workers: map[int64]*lambdabiz.WorkerRecord{}, cache: map[string]*history.Fold{},
		homes: map[string]string{}, latest: map[string]execution{},
		lists: map[string]*polls[task]{}, activity: map[string]*polls[lambdabiz.TaskClaim]{},
		loaded: map[string]time.Time{}, seenOpen: map[string]time.Time{}, unwritten: map[string]*lambdabiz.Snapshot{},
	}}
	b.life, b.stop = context.WithCancel(context.Background())
	b.numbers.Store(time.Now().UnixMicro())
	join := b.registerDomain
	if c.ExistingDomain {
		join = b.findDomain
	}
	if err := join(ctx); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// options are those of a client.
func (c *Config) options(o *swf.Options) {
	if c.Endpoint != "" {
		o.BaseEndpoint = &c.Endpoint
	}
	o.HTTPClient = awscall.Client(o.HTTPClient)
	o.APIOptions = append(o.APIOptions, awscall.CleanErrors)
}

// pollOnce is for polls: one whose answer was lost may have taken a task, and another one would get none of it, for a
// minute, without a word. Only a poll that SWF had no room for is sent again.
func pollOnce(o *swf.Options) {
	o.Retryer = throttled{o.Retryer}
}

// throttled is a Retryer for throttles alone.
type throttled struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (r throttled) IsErrorRetryable(err error) bool {
	return isThrottle(err) && r.Retryer.IsErrorRetryable(err)
}

// longPolls gives polls an HTTP client that waits longer than SWF holds them, which is 60 s.
func longPolls(o *swf.Options) {
	if client, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
		o.HTTPClient = client.WithTimeout(pollTimeout)
	}
	if client, ok := o.HTTPClient.(*http.Client); ok && client.Timeout > 0 && client.Timeout < pollTimeout {
		longer := *client
		longer.Timeout = pollTimeout
		o.HTTPClient = &longer
	}
}

// pollTimeout bounds a long poll: SWF holds it for 60 s (PollForDecisionTask).
const pollTimeout = 70 * time.Second

func (c *Config) fill() error {
	if c.AWS.Region == "" {
		return errors.New("configure swf: AWS.Region is empty (set it, or load AWS with config.LoadDefaultConfig)")
	}
	if c.AWS.Credentials == nil {
		return errors.New("configure swf: AWS.Credentials is nil (load AWS with config.LoadDefaultConfig)")
	}
	orDefault(&c.Domain, "LambdaBiz")
	orDefault(&c.TaskList, "lambdabiz")
	orDefault(&c.RetentionDays, wire.Retention)
	orDefault(&c.LambdaTimeout, wire.MaxLambda)
	orDefault(&c.DecisionTimeout, time.Minute)
	orDefault(&c.BeatTimeout, time.Minute)
	orDefault(&c.Pollers, 1)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case c.RetentionDays < 1 || c.RetentionDays > wire.Retention:
		return fmt.Errorf("configure swf: RetentionDays is %d, it must be 1 to %d", c.RetentionDays, wire.Retention)
	case c.LambdaTimeout < time.Second || c.LambdaTimeout > wire.MaxLambda:
		return fmt.Errorf("configure swf: LambdaTimeout is %v, it must be 1 s to %v", c.LambdaTimeout, wire.MaxLambda)
	case c.DecisionTimeout < 20*time.Second || c.DecisionTimeout > time.Hour:
		return fmt.Errorf("configure swf: DecisionTimeout is %v, it must be 20 s to 1 h", c.DecisionTimeout)
	case c.BeatTimeout < 3*time.Second:
		return fmt.Errorf("configure swf: BeatTimeout is %v, it must be 3 s or more", c.BeatTimeout)
	case c.Pollers < 1 || c.Pollers > 100:
		return fmt.Errorf("configure swf: Pollers is %d, it must be 1 to 100", c.Pollers)
	}
	return errors.Join(wire.CheckLength("Domain", c.Domain), wire.CheckQueue("TaskList", c.TaskList))
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Serving returns a backend whose workers serve the given task list, and whose starts give that role to their runs;
// an empty one is that of b. Everything else it shares with b: the client, what is remembered of runs, polls in
// flight, and the end by Close. It does no I/O, and need not be closed.
func (b *Backend) Serving(taskList, lambdaRole string) (*Backend, error) {
	if err := wire.CheckQueue("TaskList", taskList); err != nil {
		return nil, err
	}
	view := *b
	view.config.TaskList = cmp.Or(taskList, b.config.TaskList)
	view.config.LambdaRole = cmp.Or(lambdaRole, b.config.LambdaRole)
	return &view, nil
}

// TaskList is the task list that workers of this backend serve.
func (b *Backend) TaskList() string { return b.config.TaskList }

// Describe says what Amazon SWF can do.
func (b *Backend) Describe() lambdabiz.Description {
	refuses := map[lambdabiz.Feature]string{
		lambdabiz.FeatureHeartbeat: "Amazon SWF has no heartbeat and no cancellation of a running Lambda function",
		lambdabiz.FeatureLeaveChildren: "a child's outcome goes to the run that started it, and the next run " +
			"of the orchestration would not get it",
	}
	if b.config.Store == nil {
		const why = "Amazon SWF knows open ids only (give swf.Config a Store)"
		refuses[lambdabiz.FeatureBeforeStart] = why
		refuses[lambdabiz.FeatureStartPolicy] = why + "; OnUsedID(RejectOpen) and OnUsedID(RestartEnded) work without"
		refuses[lambdabiz.FeaturePurge] = "a history stays for the retention of its domain, and there is no store beside it"
		refuses[lambdabiz.FeatureList] = "Amazon SWF lists by id, by status and by time alone (give swf.Config a Store)"
	} else {
		refuses[lambdabiz.FeatureEarlierRuns] = "a store holds the latest run of an id; Load finds earlier ones by their run ids"
	}
	return lambdabiz.Description{
		Name: "swf", CommitEndsClaim: true, CloseOnlyConditional: true, LongPoll: true, Supervised: true, Queues: true,
		UntoldKeys: true,
		Performs: []lambdabiz.Kind{
			lambdabiz.KindTask, lambdabiz.KindService, lambdabiz.KindTimer, lambdabiz.KindChild, lambdabiz.KindRaise,
		},
		StepTimeout: b.config.DecisionTimeout - 10*time.Second, RunTimeout: wire.MaxRun, PollEvery: 2 * time.Second,
		Lags: b.config.Store != nil, Retention: time.Duration(b.config.RetentionDays) * 24 * time.Hour,
		Lanes: 16, BatchSize: 1, MaxPayloadBytes: wire.MaxPayload, MaxIDBytes: wire.MaxName, MaxFailureBytes: wire.MaxFailure,
		MaxTaskBytes: wire.MaxLambdaName, TaskTimeout: wire.MaxLambda,
		Refuses: refuses,
	}
}

// Join gives the worker a number. SWF needs no registration.
func (b *Backend) Join(_ context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	n := b.numbers.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errClosed
	}
	w.Names = slices.Clone(w.Names)
	b.workers[n] = &lambdabiz.WorkerRecord{WorkerInfo: w, Number: n, JoinedAt: now()}
	return n, nil
}

var errClosed = errors.New("swf: the backend is closed")

func now() time.Time { return wire.Stamp(time.Now()) }

// Renew does nothing: SWF sees by its time-outs when a worker has died.
func (b *Backend) Renew(_ context.Context, worker int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.workers[worker]
	if w == nil {
		return lambdabiz.ErrFenced
	}
	w.Beat++
	return nil
}

// Leave forgets the worker. What it holds goes on to others when its decision tasks time out.
func (b *Backend) Leave(_ context.Context, worker, beat int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.workers[worker]; w != nil && beat >= 0 && w.Beat != beat {
		return lambdabiz.ErrStale
	}
	delete(b.workers, worker)
	return nil
}

// Workers returns the workers of this process: SWF does not know others.
func (b *Backend) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []lambdabiz.WorkerRecord
	for _, w := range b.workers {
		all = append(all, *w)
	}
	slices.SortFunc(all, func(x, y lambdabiz.WorkerRecord) int { return int(x.Number - y.Number) })
	return all, nil
}

// Close waits for polls in flight, for [pollTimeout] at most, and gives back what they bring: a task that
// goes to a dead connection would wait for its time-out. It ends commits that are still on their way. The store stays
// open.
func (b *Backend) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), pollTimeout)
	defer cancel()
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.Quiesce(ctx)
	b.stop()
	b.polls.Wait()
	b.calls.Wait()
	return nil
}
