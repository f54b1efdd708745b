package lambdabiz_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// deed is what foreign code does instead of its work.
type deed string

const (
	holds     deed = "blocks"
	panics    deed = "panics"
	leaves    deed = "ends its goroutine"
	callsBack deed = "calls the engine"
)

// villain is foreign code that misbehaves whenever it is called.
type villain struct {
	deed    deed
	struck  atomic.Int64
	engine  atomic.Pointer[lambdabiz.Engine]
	release chan struct{} // closed at the end of the test
}

func (v *villain) strike() {
	first := v.struck.Add(1) == 1
	switch v.deed {
	case holds:
		<-v.release
	case panics:
		panic("foreign code panics")
	case leaves:
		runtime.Goexit()
	case callsBack:
		e := v.engine.Load()
		if !first || e == nil {
			return // else what it does would make it do it again
		}
		// Each of these needs what the engine may hold meanwhile. Whether there is a victim yet does not matter.
		ctx := context.Background()
		_, _ = e.State(ctx, "victim")
		_ = e.RaiseEvent(ctx, "victim", "noise", 1)
		_, _ = e.StartByName(ctx, "Bystander", "more", 1)
	}
}

// strikes is what the values of a test find their villain by: it travels in no payload.
var strikes atomic.Pointer[villain]

// hostile is a value whose methods misbehave: encoding it if Out, decoding it else.
type hostile struct{ Out bool }

func (h hostile) MarshalJSON() ([]byte, error) {
	if h.Out {
		strikes.Load().strike()
	}
	return []byte(`{"Out":false}`), nil
}

func (*hostile) UnmarshalJSON([]byte) error {
	strikes.Load().strike()
	return nil
}

// rude is an error whose methods misbehave.
type rude struct{ Method string }

func (r *rude) act(method string) {
	if r.Method == method {
		strikes.Load().strike()
	}
}
func (r *rude) Error() string             { r.act("Error"); return "rude" }
func (r *rude) Is(error) bool             { r.act("Is"); return false }
func (r *rude) As(any) bool               { r.act("As"); return false }
func (r *rude) Unwrap() error             { r.act("Unwrap"); return nil }
func (r *rude) Retryable() bool           { r.act("Retryable"); return true }
func (r *rude) RetryAfter() time.Duration { r.act("RetryAfter"); return 0 }
func (r *rude) UnmarshalJSON(p []byte) error {
	strikes.Load().strike()
	return json.Unmarshal(p, &r.Method)
}

// hostileHandler is a log handler of which one method misbehaves.
type hostileHandler struct {
	slog.Handler
	v      *villain
	method string
}

func (h *hostileHandler) act(method string) {
	if h.method == method {
		h.v.strike()
	}
}

func (h *hostileHandler) Enabled(ctx context.Context, l slog.Level) bool {
	h.act("Enabled")
	return h.Handler.Enabled(ctx, l)
}

func (h *hostileHandler) Handle(ctx context.Context, r slog.Record) error {
	h.act("Handle")
	return h.Handler.Handle(ctx, r)
}

func (h *hostileHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.act("WithAttrs")
	return &hostileHandler{h.Handler.WithAttrs(attrs), h.v, h.method}
}

// hostileCodec misbehaves over the victim's values.
type hostileCodec struct {
	lambdabiz.JSONCodec
	encode func(v any)
	decode func(v any)
}

func (c hostileCodec) Encode(v any) (lambdabiz.Payload, error) {
	c.encode(v)
	return c.JSONCodec.Encode(v)
}

func (c hostileCodec) Decode(p lambdabiz.Payload, v any) error {
	c.decode(v)
	return c.JSONCodec.Decode(p, v)
}

// hostileBackend is a backend of which one method misbehaves.
type hostileBackend struct {
	lambdabiz.Backend
	method string
	v      *villain
}

func (h *hostileBackend) act(method string) {
	if h.method == method {
		h.v.strike()
	}
}

func (h *hostileBackend) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	h.act("Claim")
	return h.Backend.Claim(ctx, r)
}

func (h *hostileBackend) Renew(ctx context.Context, worker int64) error {
	h.act("Renew")
	return h.Backend.Renew(ctx, worker)
}

func (h *hostileBackend) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	if h.v.engine.Load() != nil { // the first call belongs to the worker's begin
		h.act("Workers")
	}
	return h.Backend.Workers(ctx)
}

func (h *hostileBackend) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	if batch[0].Run != nil && h.v.struck.Load() == 0 { // once, and not on a goroutine of the test
		h.act("Commit")
	}
	return h.Backend.Commit(ctx, batch)
}

// way is a way for foreign code into the engine.
type way struct {
	name   string
	config func(v *villain, c *lambdabiz.Config) // may be nil
	victim func(o lambdabiz.Context) (any, error)
	items  []lambdabiz.Registrable
	method string // of the backend
	spares []deed // what makes no sense there
	kept   bool   // the victim ends: what misbehaves only listens
	local  bool   // the victim's own goroutine calls it: if that ends, or blocks, the victim does
}

// hook is a way by one of the hooks.
func hook(name string, set func(h *lambdabiz.Hooks, strike func())) way {
	return way{name: "hook " + name, kept: true, victim: quiet, config: func(v *villain, c *lambdabiz.Config) {
		set(&c.Hooks, v.strike)
	}}
}

func handler(method string) way {
	return way{name: "log handler " + method, kept: true, victim: quiet, config: func(v *villain, c *lambdabiz.Config) {
		c.Logger = slog.New(&hostileHandler{slog.NewTextHandler(&strings.Builder{}, nil), v, method})
	}}
}

// quiet is what a victim does that is only looked at: a step that fails once makes the engine log.
func quiet(o lambdabiz.Context) (any, error) {
	return lambdabiz.Step(o, "s", func(ctx context.Context) (int, error) {
		if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
			return 0, errors.New("not yet")
		}
		return 1, nil
	}, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2, Initial: time.Second}))
}

func failing(method string) way {
	return way{name: "error " + method, local: true, victim: func(o lambdabiz.Context) (any, error) {
		return lambdabiz.Go(o, "b", func(o lambdabiz.Context) (any, error) {
			err := lambdabiz.Do(o, "s", func(context.Context) error { return fmt.Errorf("wrapped: %w", &rude{method}) },
				lambdabiz.Retry(lambdabiz.Backoff{Attempts: 2, Initial: time.Second}))
			return nil, errors.Join(err, &rude{method})
		}).Wait(o)
	}}
}

func backend(method string) way {
	return way{name: "backend " + method, method: method, victim: quiet, kept: true}
}

func ways() []way {
	type key struct{ N int }
	step := func(o lambdabiz.Context, id string, v any) (any, error) {
		return lambdabiz.Step(o, id, func(context.Context) (any, error) { return v, nil })
	}
	grandchild := lambdabiz.Define("Rude", func(lambdabiz.Context, int) (int, error) {
		return 0, &rudeError{rude{"none"}}
	})
	return []way{
		hook("RunStarted", func(h *lambdabiz.Hooks, strike func()) { h.RunStarted = func(lambdabiz.RunEvent) { strike() } }),
		hook("RunEnded", func(h *lambdabiz.Hooks, strike func()) { h.RunEnded = func(lambdabiz.RunEvent) { strike() } }),
		hook("Operation", func(h *lambdabiz.Hooks, strike func()) { h.Operation = func(lambdabiz.OperationEvent) { strike() } }),
		hook("Commit", func(h *lambdabiz.Hooks, strike func()) { h.Commit = func(int, time.Duration, error) { strike() } }),
		hook("Attempt", func(h *lambdabiz.Hooks, strike func()) {
			h.Attempt = func(ctx context.Context, _ lambdabiz.TaskInfo) (context.Context, func(error)) {
				strike()
				return ctx, nil
			}
		}),
		hook("Attempt's end", func(h *lambdabiz.Hooks, strike func()) {
			h.Attempt = func(ctx context.Context, _ lambdabiz.TaskInfo) (context.Context, func(error)) {
				return ctx, func(error) { strike() }
			}
		}),
		handler("Enabled"), handler("Handle"), handler("WithAttrs"),
		{name: "codec Encode", local: true, config: func(v *villain, c *lambdabiz.Config) {
			c.Codec = hostileCodec{encode: func(x any) {
				if _, mine := x.(key); mine {
					v.strike()
				}
			}, decode: func(any) {}}
		}, victim: func(o lambdabiz.Context) (any, error) { return step(o, "s", key{1}) }},
		{name: "codec Decode", local: true, config: func(v *villain, c *lambdabiz.Config) {
			c.Codec = hostileCodec{encode: func(any) {}, decode: func(x any) {
				if _, mine := x.(*key); mine {
					v.strike()
				}
			}}
		}, victim: func(o lambdabiz.Context) (any, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (key, error) { return key{1}, nil })
		}},
		{name: "MarshalJSON of a step's result", local: true, victim: func(o lambdabiz.Context) (any, error) {
			return step(o, "s", hostile{true})
		}},
		{name: "MarshalJSON of the outcome", local: true, victim: func(lambdabiz.Context) (any, error) {
			return hostile{true}, nil
		}},
		{name: "MarshalJSON of a next run's input", local: true, victim: func(o lambdabiz.Context) (any, error) {
			return nil, lambdabiz.ContinueAsNew(o, hostile{true})
		}},
		{name: "MarshalJSON in a branch", local: true, victim: func(o lambdabiz.Context) (any, error) {
			return lambdabiz.Go(o, "b", func(o lambdabiz.Context) (any, error) {
				return lambdabiz.CallTask[int](o, "t", "Known", hostile{true})
			}).Wait(o)
		}},
		{name: "UnmarshalJSON of a step's result", local: true, victim: func(o lambdabiz.Context) (any, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (hostile, error) { return hostile{}, nil })
		}},
		{name: "UnmarshalJSON of an event", local: true, victim: func(o lambdabiz.Context) (any, error) {
			if err := lambdabiz.RaiseEvent(o, "r", o.ID(), "E", 1); err != nil {
				return nil, err
			}
			return lambdabiz.WaitForEvent[hostile](o, "E")
		}},
		failing("Error"), failing("Is"), failing("As"), failing("Unwrap"), failing("Retryable"), failing("RetryAfter"),
		{name: "UnmarshalJSON of a child's error", local: true,
			items:  []lambdabiz.Registrable{lambdabiz.ErrorType[*rudeError]("rude"), grandchild},
			victim: func(o lambdabiz.Context) (any, error) { return lambdabiz.CallChild(o, "c", grandchild, 1) }},
		{name: "task resolver", local: true,
			items: []lambdabiz.Registrable{lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
				if name == "Unknown" {
					strikes.Load().strike()
				}
				return nil
			})},
			victim: func(o lambdabiz.Context) (any, error) { return lambdabiz.CallTask[int](o, "t", "Unknown", 1) }},
		backend("Claim"), backend("Renew"), backend("Workers"),
		{name: "backend Commit", method: "Commit", victim: quiet, kept: true, spares: []deed{holds, callsBack}},
	}
}

// rudeError is an error that misbehaves only when it is read.
type rudeError struct{ rude }

func (q *rudeError) MarshalJSON() ([]byte, error) { return []byte(`"none"`), nil }

// misbehave lets foreign code misbehave in an orchestration, and returns what others notice of it.
func misbehave(t *testing.T, v *villain, w way) (complaint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	store := memory.New()
	config := lambdabiz.Config{PollInterval: time.Second, Logger: slog.New(slog.DiscardHandler)}
	if w.config != nil {
		w.config(v, &config)
	}
	e, err := lambdabiz.New(&hostileBackend{store, w.method, v}, config)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(unguardedVariable) != "" {
		e.Unguarded()
	}
	victim := lambdabiz.Define("Victim", func(o lambdabiz.Context, _ int) (any, error) { return w.victim(o) })
	bystander := lambdabiz.Define("Bystander", func(o lambdabiz.Context, n int) (int, error) {
		for i := range 3 {
			if _, err := lambdabiz.Step(o, fmt.Sprint("s", i), func(context.Context) (int, error) { return 1, nil }); err != nil {
				return 0, err
			}
			if err := lambdabiz.Sleep(o, fmt.Sprint("t", i), time.Second); err != nil {
				return 0, err
			}
		}
		return n, nil
	})
	if err := e.Register(append(w.items, victim, bystander, lambdabiz.NewTask("Known", func(_ context.Context, n int) (int, error) {
		return n, nil
	}))...); err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- e.Run(working) }()
	synctest.Wait()
	v.engine.Store(e)
	say := func(format string, args ...any) {
		if complaint == "" {
			complaint = fmt.Sprintf(format, args...)
		}
	}
	if _, err := lambdabiz.Start(ctx, e, victim, "victim", 0); err != nil {
		say("the victim's start: %v", err)
	}
	began := time.Now()
	for i := range 3 {
		run, err := lambdabiz.Start(ctx, e, bystander, fmt.Sprint("bystander", i), i)
		if err != nil {
			say("a bystander's start: %v", err)
			continue
		}
		soon, cancel := context.WithTimeout(ctx, time.Minute)
		if n, err := run.Result(soon); err != nil || n != i {
			say("a bystander ended with %d, %v after %v", n, err, time.Since(began))
		}
		cancel()
	}
	time.Sleep(time.Minute) // leases are renewed, and the victim has tried for some time
	s, err := e.State(ctx, "victim")
	switch {
	case err != nil:
		say("the victim's state: %v", err)
	case s.Status.Ended(), w.local && v.deed == holds:
	case w.kept, s.Blocked == nil:
		say("the victim is %s, and blocked is %+v", s.Status, s.Blocked)
	}
	stop()
	began = time.Now()
	select {
	case err := <-stopped:
		if err != nil {
			say("the worker: %v", err)
		}
	case <-time.After(time.Minute):
		say("the worker does not end")
	}
	if took := time.Since(began); took > 40*time.Second { // the drain timeout, and twice the grace
		say("the worker took %v to end", took)
	}
	close(v.release)
	synctest.Wait()
	if err := e.Close(); err != nil {
		say("close: %v", err)
	}
	return complaint
}

const unguardedVariable = "LAMBDABIZ_UNGUARDED"

// Hooks, log handlers, codecs, methods of values and errors, resolvers and backends that block, panic, end their
// goroutine or call the engine harm nobody but the orchestration whose own code they are.
func TestForeignCodeHarmsNobodyElse(t *testing.T) {
	struck := map[deed]int{}
	for _, w := range ways() {
		for _, d := range []deed{holds, panics, leaves, callsBack} {
			if slices.Contains(w.spares, d) {
				continue
			}
			t.Run(w.name+" "+string(d), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := &villain{deed: d, release: make(chan struct{})}
					strikes.Store(v)
					if complaint := misbehave(t, v, w); complaint != "" {
						t.Error(complaint)
					}
					if v.struck.Load() == 0 {
						t.Error("it was never called: this proves nothing")
					}
					struck[d]++
				})
			})
		}
	}
	campaign.Report(t, "F47", []campaign.Count{
		{What: "blocked", N: struck[holds]}, {What: "panicked", N: struck[panics]},
		{What: "ended its goroutine", N: struck[leaves]}, {What: "called back", N: struck[callsBack]},
	})
}

// The twin: called where things happen, foreign code ends the process, or jams it.
func TestSabotageForeignCodeUnguarded(t *testing.T) {
	t.Parallel()
	for _, test := range []string{
		"hook_RunStarted_panics", "hook_Commit_panics", "hook_RunEnded_panics",
		"log_handler_Handle_panics", "backend_Claim_panics", "backend_Renew_panics", "backend_Workers_panics",
		"backend_Claim_blocks",
	} {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], // this program
				"-test.run=^TestForeignCodeHarmsNobodyElse$/^"+test+"$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), unguardedVariable+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
			text, err := cmd.CombinedOutput()
			complaint := ""
			if err != nil {
				complaint = firstComplaint(string(text))
			}
			campaign.Red(t, "F47", "the guard", complaint)
		})
	}
}

// firstComplaint is the line in which a test or the runtime says what is wrong.
func firstComplaint(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "panic:") || strings.Contains(line, "foreign_test.go:") {
			return strings.TrimSpace(line)
		}
	}
	first, _, _ := strings.Cut(text, "\n")
	return first
}
