package lambdabiztest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/probe"
)

// process is an engine with its way to the store: the worker of a test, one life of it, or the test's client. A worker
// can die: then nothing that it does reaches the store any more.
type process struct {
	lambdabiz.Backend

	env    *Env
	wake   <-chan struct{}
	engine *lambdabiz.Engine
	works  bool // it is a worker

	number int64 // the worker's
	names  []string
	joined chan struct{} // closed when it has joined
	fenced chan struct{} // closed when the engine has learned that the process is dead
	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{} // closed when it has stopped, with err
	err    error
	dead   bool // guarded by Env.mu
}

var (
	_ lambdabiz.Waker   = (*process)(nil)
	_ probe.Interceptor = (*process)(nil)
)

// newProcess makes an engine; the first one is the test's client.
func (env *Env) newProcess() (*process, error) {
	p := &process{
		Backend: env.backend, env: env, wake: env.backend.Wake(), works: env.client != nil,
		joined: make(chan struct{}), fenced: make(chan struct{}), done: make(chan struct{}),
	}
	config := env.config
	config.Hooks = env.hooks(p, config.Hooks)
	engine, err := lambdabiz.New(p, config)
	if err == nil {
		err = engine.Register(append(slices.Clone(env.items), stubDefinition(env))...)
	}
	if err != nil {
		return nil, fmt.Errorf("make an engine: %w", err)
	}
	p.engine = engine
	return p, nil
}

// begin lets the worker work. It returns when the worker has joined.
func (p *process) begin() error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.env.ctx))
	p.cancel = cancel
	p.env.mu.Lock()
	p.env.worker = p
	p.env.mu.Unlock()
	go func() {
		defer close(p.done)
		p.err = p.engine.Run(ctx)
	}()
	select {
	case <-p.joined:
		return nil
	case <-p.done:
		cancel()
		return p.err
	}
}

// stop ends the worker in good order.
func (p *process) stop() error {
	p.cancel()
	<-p.done
	return p.err
}

// Wake is the store's.
func (p *process) Wake() <-chan struct{} { return p.wake }

// Describe makes each commit a point of its own, at which the process may die.
func (p *process) Describe() lambdabiz.Description {
	d := p.Backend.Describe()
	d.Lanes, d.BatchSize = 1, 1
	return d
}

// Join begins the worker's life. A dead process that tries again has noticed its death.
func (p *process) Join(ctx context.Context, w lambdabiz.WorkerInfo) (int64, error) {
	if p.isDead() {
		p.once.Do(func() { close(p.fenced) })
		return 0, errDead
	}
	number, err := p.Backend.Join(ctx, w)
	p.env.mu.Lock()
	defer p.env.mu.Unlock()
	if err == nil && p.number == 0 {
		close(p.joined)
	}
	p.number, p.names = number, w.Names
	return number, err
}

var errDead = errors.New("this process is dead")

// Renew does nothing for the dead.
func (p *process) Renew(ctx context.Context, worker int64) error {
	if p.isDead() {
		return lambdabiz.ErrFenced
	}
	return p.Backend.Renew(ctx, worker)
}

// Leave does nothing for the dead.
func (p *process) Leave(ctx context.Context, worker, beat int64) error {
	if p.isDead() {
		return nil
	}
	return p.Backend.Leave(ctx, worker, beat)
}

// Claim gives nothing to the dead.
func (p *process) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	if p.isDead() {
		return lambdabiz.Claims{}, lambdabiz.ErrFenced
	}
	return p.Backend.Claim(ctx, r)
}

// Commit stores what the dead do not. The process may die here, before the commit or after it.
func (p *process) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	batch = p.env.stubChildren(batch)
	dies, after := p.env.strikes(p, batch)
	if dies && !after {
		p.env.die(p)
	}
	if p.isDead() {
		return fencedAll(batch), nil
	}
	verdicts, err := p.Backend.Commit(ctx, batch)
	if err == nil {
		p.env.committed(p, batch, verdicts)
	}
	if dies {
		p.env.die(p)
		return fencedAll(batch), nil
	}
	return verdicts, err
}

func fencedAll(batch []*lambdabiz.Commit) []lambdabiz.Verdict {
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i := range verdicts {
		verdicts[i].Err = lambdabiz.ErrFenced
	}
	return verdicts
}

func (p *process) isDead() bool {
	p.env.mu.Lock()
	defer p.env.mu.Unlock()
	return p.dead
}

// serves reports whether the worker knows a definition.
func (env *Env) serves(name string) bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	return slices.Contains(env.worker.names, name)
}

// Repeats lets the engine block the run, as in production.
func (*process) Repeats(probe.Operation, string, string) bool { return false }

// Rest asks about nothing again.
func (*process) Rest(string) []string { return nil }

// RunID makes run ids that are the same in each life of a scenario: with random ones idempotency keys would differ.
func (p *process) RunID(orchestration string, from ...string) string {
	if len(from) == 0 { // it is started from outside: by the test, in the same order in each life
		p.env.mu.Lock()
		p.env.starts[orchestration]++
		from = []string{strconv.Itoa(p.env.starts[orchestration])}
		p.env.mu.Unlock()
	}
	return runID(orchestration, from)
}

func runID(orchestration string, from []string) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q", orchestration, from)))
	return hex.EncodeToString(sum[:13])
}

// committed looks at what was stored.
func (env *Env) committed(p *process, batch []*lambdabiz.Commit, verdicts []lambdabiz.Verdict) {
	env.mu.Lock()
	defer env.mu.Unlock()
	for i, c := range batch {
		if verdicts[i].Err != nil {
			continue
		}
		env.storedLocked(c)
		if c.Run == nil {
			continue
		}
		env.journal.recorded(c)
		if c.Release != nil && c.Release.Blocked != nil {
			env.blockedLocked(c.Run.ID, c.Release.Blocked)
		}
		for j := range c.Starts {
			if s := &c.Starts[j]; p.works && verdicts[i].Starts[j].Err == nil && !slices.Contains(p.names, s.Name) {
				env.faultLockedf("orchestration %s starts a child at operation %q, and its definition %q is not registered: "+
					"register it, or stub the operation", c.Run.ID, pathOf(c, s.Operation), s.Name)
			}
		}
	}
	env.moveLocked()
}

// blockedLocked fails the test with what the state would say.
func (env *Env) blockedLocked(id string, b *lambdabiz.Blocked) {
	text := b.Reason
	if b.Operation != "" {
		text += "\n\toperation: " + b.Operation
	}
	if b.Source != "" {
		text += "\n\tsource:    " + b.Source
	}
	if b.Detail != "" {
		text += "\n" + b.Detail
	}
	env.faultLockedf("orchestration %s is blocked: %s", id, text)
}

// pathOf finds the path of an operation in the commit that carries it.
func pathOf(c *lambdabiz.Commit, number int64) string {
	for i := range c.Operations {
		if c.Operations[i].Number == number {
			return c.Operations[i].ID
		}
	}
	return ""
}

// hooks count what is done, and keep the dead from beginning anything.
func (env *Env) hooks(p *process, own lambdabiz.Hooks) lambdabiz.Hooks {
	attempt, operation := own.Attempt, own.Operation
	own.Attempt = func(ctx context.Context, info lambdabiz.TaskInfo) (context.Context, func(error)) {
		if env.begun(p, info) && attempt != nil {
			return attempt(context.WithValue(ctx, processKey{}, p), info)
		}
		return context.WithValue(ctx, processKey{}, p), func(error) {}
	}
	own.Operation = func(op lambdabiz.OperationEvent) {
		if !op.Recorded {
			env.endedOperation(&op)
		}
		if operation != nil {
			operation(op)
		}
	}
	return own
}

// Alive keeps bodies from beginning in a process that is dead.
func (p *process) Alive() bool {
	p.env.mu.Lock()
	defer p.env.mu.Unlock()
	return !p.dead
}

// processKey finds the process of a body in its context.
type processKey struct{}
