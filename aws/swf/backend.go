package swf

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// Backend is [lambdabiz.Backend] on Amazon SWF. It is [lambdabiz.Queue] too: tasks and services are
// activities.
type Backend struct {
	config *Config
	*shared

	// These know the task list and the role that they serve.
	starts     *starter
	commits    *committer
	claims     *claims
	hand       *handClaims
	activities *activities
}

// shared is what the backends of one Open have in common; see Serving.
type shared struct {
	*service
	life      *lifetime
	registry  *registry
	workers   *workers
	folds     *folds
	runs      *directory
	histories *histories
	mirror    *mirror
	events    *events
	controls  *controls
	sender    *sender
	lists     *decisionLists
	attempts  *activityLists
}

func newShared(c *Config) *shared {
	s := &shared{service: newService(c), life: newLifetime(), folds: &folds{byHome: map[string]*history.Fold{}}}
	s.registry = &registry{service: s.service, known: map[plan.Type]bool{}}
	s.workers = newWorkers(s.life)
	s.runs = &directory{service: s.service, store: c.Store, homes: map[string]string{}, latest: map[string]execution{}}
	s.histories = &histories{service: s.service, runs: s.runs, folds: s.folds}
	s.mirror = &mirror{
		service: s.service, store: c.Store, life: s.life, runs: s.runs, folds: s.folds, histories: s.histories,
		loaded: map[string]bool{}, unwritten: map[string]*lambdabiz.Snapshot{}, seenOpen: map[string]time.Time{},
	}
	s.events = &events{service: s.service, store: c.Store, runs: s.runs, histories: s.histories}
	s.controls = &controls{service: s.service, store: c.Store, runs: s.runs, histories: s.histories, mirror: s.mirror}
	s.sender = &sender{s.service}
	s.lists = &decisionLists{
		service: s.service, config: c, life: s.life, folds: s.folds, histories: s.histories, sender: s.sender,
		byName: map[string]*polls[task]{},
	}
	s.attempts = &activityLists{life: s.life, byName: map[string]*polls[lambdabiz.TaskClaim]{}}
	return s
}

// serving is a backend whose workers, starts and children are those of a configuration.
func (s *shared) serving(c *Config) *Backend {
	b := &Backend{config: c, shared: s, activities: &activities{s.service, c, s.attempts}}
	b.starts = &starter{&launcher{s.service, c, s.registry, s.runs}, c.Store, s.mirror}
	b.commits = &committer{
		service: s.service, life: s.life, histories: s.histories, folds: s.folds, mirror: s.mirror, sender: s.sender,
		outside: &outside{starts: b.starts, events: s.events, controls: s.controls},
		completer: &completer{
			plans: c.plans(), registry: s.registry, histories: s.histories, starts: b.starts, events: s.events, controls: s.controls,
		},
	}
	b.claims = &claims{
		service: s.service, config: c, store: c.Store, workers: s.workers, runs: s.runs, mirror: s.mirror, events: s.events,
		lists: s.lists, sender: s.sender, commits: b.commits,
	}
	b.hand = &handClaims{
		service: s.service, store: c.Store, runs: s.runs, histories: s.histories, events: s.events, lists: s.lists,
		sender: s.sender, commits: b.commits, claims: b.claims,
	}
	return b
}

// Open checks the configuration, registers the domain if it is not there (see Config.ExistingDomain), and
// returns a backend. It reads and writes nothing else.
func Open(ctx context.Context, c Config) (*Backend, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	s := newShared(&c)
	join := s.findDomain
	if !c.ExistingDomain {
		join = func(ctx context.Context) error { return s.registerDomain(ctx, c.RetentionDays) }
	}
	if err := join(ctx); err != nil {
		s.life.stop()
		return nil, err
	}
	return s.serving(&c), nil
}

// Serving returns a backend whose workers serve the given task list, and whose starts give that role to their runs;
// an empty one is that of b. Everything else it shares with b: the client, what is remembered of runs, polls in
// flight, and the end by Close. It does no I/O, and need not be closed.
func (b *Backend) Serving(taskList, lambdaRole string) (*Backend, error) {
	if err := wire.CheckQueue("TaskList", taskList); err != nil {
		return nil, err
	}
	c := *b.config
	c.TaskList = cmp.Or(taskList, c.TaskList)
	c.LambdaRole = cmp.Or(lambdaRole, c.LambdaRole)
	return b.serving(&c), nil
}

// TaskList is the task list that workers of this backend serve.
func (b *Backend) TaskList() string { return b.config.TaskList }

// HandQueue is the queue of an orchestration that is driven by hand and was started without [lambdabiz.OnQueue]: it
// follows from its id. Whoever makes its REST calls alone needs no permission to look.
func (b *Backend) HandQueue(id string) string { return wire.DecodeID(wire.HandList(id)) }

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
	return b.workers.join(w)
}

// Renew does nothing: SWF sees by its time-outs when a worker has died.
func (b *Backend) Renew(_ context.Context, worker int64) error { return b.workers.renew(worker) }

// Leave forgets the worker. What it holds goes on to others when its decision tasks time out.
func (b *Backend) Leave(_ context.Context, worker, beat int64) error {
	return b.workers.leave(worker, beat)
}

// Workers returns the workers of this process: SWF does not know others.
func (b *Backend) Workers(context.Context) ([]lambdabiz.WorkerRecord, error) {
	return b.workers.all(), nil
}

// Claim takes one decision task. It waits for a long poll of SWF, a minute at most, or until ctx ends.
// A task that the engine need not see is answered at once.
func (b *Backend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if r.Hand != "" {
		return b.hand.claim(ctx, r)
	}
	return b.claims.claim(ctx, r)
}

// Commit answers the decision task of each run, and sends what clients ask for. A commit that says no more
// than what has been done, and that may keep its claim, goes as a signal to the run itself while its
// decision task stays open.
func (b *Backend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	return b.commits.commit(ctx, batch)
}

// NextTask takes an activity of the kind's task list. It waits for a long poll of SWF, or until ctx ends.
func (b *Backend) NextTask(ctx context.Context, r lambdabiz.TaskRequest) (*lambdabiz.TaskClaim, error) {
	return b.activities.next(ctx, r)
}

// BeatTask tells SWF that the attempt goes on. The details of the last call stay for the next attempt.
func (b *Backend) BeatTask(ctx context.Context, t *lambdabiz.TaskClaim, details lambdabiz.Payload) error {
	return b.activities.beat(ctx, t, details)
}

// EndTask tells SWF what the attempt came to.
func (b *Backend) EndTask(ctx context.Context, t *lambdabiz.TaskClaim, o lambdabiz.TaskOutcome) error {
	return b.activities.end(ctx, t, o)
}

// Load returns a run from the store, or from its history when there is no store or it has another run. The copy
// of an open run that is older than a minute is checked with SWF and corrected.
func (b *Backend) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	l := &loader{store: b.config.Store, runs: b.runs, histories: b.histories, mirror: b.mirror}
	return l.load(ctx, id, runID)
}

// List returns a page of runs from the store, or from SWF's lists: those are filtered by one thing alone.
func (b *Backend) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	l := &listing{b.service, b.config.Store}
	return l.list(ctx, f)
}

// Purge removes ended runs from the store. Histories stay in SWF for the retention of the domain.
func (b *Backend) Purge(ctx context.Context, r lambdabiz.PurgeRequest) (int, error) {
	p := &purger{b.config.Store, b.mirror}
	return p.purge(ctx, r)
}

// Unserved looks through the histories of all open runs for what has been waiting for a worker for longer than
// the given time, oldest first. Decisions of runs that are driven by hand are left out: their caller comes
// when it comes. It costs one call for 1,000 events of each run.
func (b *Backend) Unserved(ctx context.Context, longer time.Duration) ([]Unserved, error) {
	return b.unserved(ctx, longer)
}

// Quiesce waits until the polls in flight have ended, or ctx has, and gives back the tasks that they
// brought and nobody took. A Lambda function calls it before it returns: what comes to a frozen process
// would wait for its time-out.
func (b *Backend) Quiesce(ctx context.Context) {
	b.life.quiesce(ctx)
	b.activities.giveUp(ctx, b.attempts.takeReady())
	for _, t := range b.lists.takeReady() {
		if err := b.sender.giveBack(ctx, t, 0); err != nil && !errors.Is(err, context.Canceled) {
			b.log.Warn("a decision task was not given back, it comes again after its time-out",
				"orchestration", t.fold.Info.ID, "error", err)
		}
	}
}

// Close waits for polls in flight, for [pollTimeout] at most, and gives back what they bring: a task that
// goes to a dead connection would wait for its time-out. It ends commits that are still on their way. The store stays
// open.
func (b *Backend) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), pollTimeout)
	defer cancel()
	b.life.close()
	b.Quiesce(ctx)
	b.life.end()
	return nil
}
