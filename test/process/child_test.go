package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// child is this process, when it is one.
type child struct {
	args
	ctx     context.Context //nolint:containedctx // the life of the process
	stop    context.CancelFunc
	effects *os.File

	mu      sync.Mutex
	latches map[string]chan struct{}
	orders  chan []string // commands that a role takes

	printing sync.Mutex
}

// self is what tasks and orchestrations know of their process.
var self *child

func runChild(a args) {
	c := &child{args: a, latches: map[string]chan struct{}{}, orders: make(chan []string, 1000)}
	self = c
	c.ctx, c.stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(c.ctx, func() { c.sayf("stopping") })
	for _, name := range a.Let {
		c.let(name)
	}
	effects, err := os.OpenFile(a.Effects, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	c.must("open effects", err)
	c.effects = effects
	go c.listen()
	c.arm()
	roles[a.Role](c)
}

// must ends the process for an error that no test expects.
func (c *child) must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %s: %v\n", c.Name, what, err)
		os.Exit(4)
	}
}

// try is must for a call that ends with the process's own context. Then it ends its goroutine.
func (c *child) try(what string, err error, but ...error) {
	if err != nil && c.ctx.Err() != nil {
		runtime.Goexit()
	}
	for _, b := range but {
		if errors.Is(err, b) {
			return
		}
	}
	c.must(what, err)
}

// persist repeats what a server that is away has not done, as its clients do.
func (c *child) persist(do func() error) error {
	return persist(c.ctx, c.URL != "", do)
}

func persist(ctx context.Context, mayBeAway bool, do func() error) error {
	for {
		err := do()
		var temporary interface{ Temporary() bool }
		away := errors.As(err, &temporary) && temporary.Temporary() || errors.Is(err, lambdabiz.ErrOutcomeUnknown)
		if !mayBeAway || !away || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond): // nobody tells when it is back
		case <-ctx.Done():
			return err
		}
	}
}

// sayf prints one line for the parent.
func (c *child) sayf(format string, a ...any) {
	c.printing.Lock()
	defer c.printing.Unlock()
	fmt.Printf(format+"\n", a...)
}

// listen obeys the parent. A parent that is gone ends its child.
func (c *child) listen() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 4)
		switch words[0] {
		case "let":
			c.let(words[1])
		case "stop":
			c.stop()
		default:
			c.orders <- words
		}
	}
	os.Exit(5)
}

// latch is open when its channel is closed.
func (c *child) latch(name string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.latches[name]
	if ch == nil {
		ch = make(chan struct{})
		c.latches[name] = ch
	}
	return ch
}

func (c *child) isOpen(name string) bool {
	select {
	case <-c.latch(name):
		return true
	default:
		return false
	}
}

func (c *child) let(name string) {
	ch := c.latch(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// record appends one line to the effects, as one write: what a killed process did stays, whole.
func (c *child) record(what string, info lambdabiz.TaskInfo) {
	_, err := fmt.Fprintf(c.effects, "%s %s %s %s %d %d %d\n", what, info.OrchestrationID, info.OperationID,
		info.IdempotencyKey, info.Attempt, os.Getpid(), time.Now().UnixMicro())
	c.must("record an effect", err)
}

// engine makes the child's engine on its file, seen through a tracer.
func (c *child) engine() (*lambdabiz.Engine, *tracer) {
	backend := openTraced(c)
	config := lambdabiz.Config{
		Version: c.Version, Lease: c.Lease, DrainTimeout: c.Drain, PollInterval: 20 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if c.Parks {
		config.MemoryBudget = 1
	}
	e, err := lambdabiz.New(backend, config)
	c.must("configure", err)
	c.must("register", e.Register(script, work))
	if c.Late {
		c.must("register", e.Register(late))
	}
	return e, backend
}

// workWhile works until f has returned, in an orderly way.
func (c *child) workWhile(e *lambdabiz.Engine, backend *tracer, f func()) {
	err := e.RunWhile(c.ctx, func(ctx context.Context) error {
		select {
		case <-backend.works:
			f()
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if c.ctx.Err() == nil { // else it may have been stopped before it worked
		c.must("run", err)
	}
	c.must("close", e.Close())
}

// workRole is a worker that starts what the parent tells it to.
func workRole(c *child) {
	e, backend := c.engine()
	go func() {
		for words := range c.orders {
			switch words[0] {
			case "start":
				go c.startAndWait(e, words[1], words[2])
			case "quiet":
				go backend.quiet(c.latch(words[1]))
			default:
				c.must("obey", fmt.Errorf("unknown command %q", words))
			}
		}
	}()
	err := c.persist(func() error { return e.Run(c.ctx) })
	c.must("close", e.Close())
	c.sayf("stopped %v", err)
	os.Exit(0)
}

// startAndWait starts a script, and tells when the start and the outcome are acknowledged.
func (c *child) startAndWait(e *lambdabiz.Engine, id, input string) {
	var run *lambdabiz.Run[lambdabiz.Payload]
	err := c.persist(func() (err error) {
		run, err = e.StartByName(c.ctx, script.Name(), id, json.RawMessage(input))
		return err
	})
	if c.ctx.Err() != nil {
		return
	}
	c.must("start "+id, err)
	c.sayf("started %s %s", id, run.RunID())
	var out lambdabiz.Payload
	err = c.persist(func() (err error) {
		out, err = run.Result(c.ctx)
		return err
	})
	switch {
	case c.ctx.Err() != nil:
	case err != nil:
		c.sayf("failed %s %v", id, err)
	default:
		c.sayf("ended %s %s", id, out)
	}
}
