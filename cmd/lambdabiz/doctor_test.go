package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func (c *cli) path() string { return strings.TrimPrefix(c.backend, "sqlite:") }

// finds wants doctor to find exactly these problems, by id.
func (c *cli) finds(want map[string]string) {
	c.t.Helper()
	r := c.call("doctor", "--grace", "0s", "-o", "json")
	code := exitProblems
	if len(want) == 0 {
		code = exitOK
	}
	if r.code != code {
		c.t.Errorf("exit code %d, standard error %s", r.code, r.errs)
	}
	got := map[string]string{}
	for _, p := range decode[diagnosis](c.t, r.out).Problems {
		got[p.ID] = p.Kind
	}
	if len(got) != len(want) {
		c.t.Errorf("found %v, want %v", got, want)
	}
	for id, kind := range want {
		if got[id] != kind {
			c.t.Errorf("%s: found %q, want %q", id, got[id], kind)
		}
	}
}

func TestDoctorOnAHealthyStore(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	c.finds(nil)
	if out := c.must("doctor"); !strings.Contains(out, "2 open (1 paused), 1 live workers: all have a reason to wake") {
		t.Errorf("doctor printed %s", out)
	}
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
	c.finds(nil)
}

func TestDoctorAfterAKill(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.holdApproval() // or the other orchestration may be faster than the kill
	c.start("demo", "--timer", "0", "--kill-after", "Operation3").ends(-int(syscall.SIGKILL))
	c.finds(map[string]string{"Sequence3": problemLostWorker})
	c.must("resume", "RESTSequence1")
	c.start("demo", "--timer", "0").ends(exitOK)
	c.finds(nil)
}

func TestDoctorFindsWhatNobodyServes(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	c.must("start", "Nobody", "n-2")
	c.must("pause", "n-2")
	c.finds(map[string]string{"n-1": problemUnserved})
	r := c.call("doctor", "--grace", "0s")
	if r.code != exitProblems || !strings.Contains(r.out, "start a worker that serves Nobody") {
		t.Errorf("exit code %d, %s", r.code, r.out)
	}
	c.must("doctor", "--grace", "1h")
}

// While other workers live, the engine itself says of such a run that nobody knows its definition.
func TestDoctorFindsWhatNoLiveWorkerServes(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	c.must("start", "Nobody", "n-1")
	c.must("start", "Nobody", "n-2")
	c.must("pause", "n-2")
	c.finds(map[string]string{"n-1": problemUnserved})
	c.must("doctor", "--grace", "1h")
	if out := c.must("show", "n-1"); !strings.Contains(out, `knows a definition with the name "Nobody"`) {
		t.Errorf("show printed %s", out)
	}
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
}

// work runs an engine with the definitions in this process. It returns what ends it, drained.
func (c *cli) work(log slog.Handler, items ...lambdabiz.Registrable) (stop func()) {
	c.t.Helper()
	return c.workAs("one", log, items...)
}

func (c *cli) workAs(version string, log slog.Handler, items ...lambdabiz.Registrable) (stop func()) {
	c.t.Helper()
	backend, err := sqlite.Open(c.path())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = backend.Close() })
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Logger: slog.New(log), Version: version})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := engine.Register(items...); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	return func() {
		c.t.Helper()
		cancel()
		if err := errors.Join(<-done, backend.Close()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// blockedLog is told when the engine says that it blocks a run.
type blockedLog chan struct{}

func (l blockedLog) Enabled(context.Context, slog.Level) bool { return true }
func (l blockedLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l blockedLog) WithGroup(string) slog.Handler            { return l }
func (l blockedLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "orchestration is blocked" {
		l <- struct{}{}
	}
	return nil
}

func TestDoctorNamesWhyARunIsBlocked(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Panics", "p-1")
	blocked := make(blockedLog, 10)
	stop := c.work(blocked, lambdabiz.Define("Panics", func(lambdabiz.Context, any) (any, error) { panic("boom") }))
	<-blocked
	stop()
	c.finds(map[string]string{"p-1": problemBlocked})
	r := c.call("doctor")
	if r.code != exitProblems || !strings.Contains(r.out, "boom") || !strings.Contains(r.out, "doctor_test.go") {
		t.Errorf("exit code %d, %s", r.code, r.out)
	}
	if out := c.must("show", "p-1"); !strings.Contains(out, "\nblocked at\n  ") || !strings.Contains(out, "tried again at") {
		t.Errorf("show printed %s", out)
	}
	if out := c.must("list", "--blocked"); !strings.Contains(out, "p-1") {
		t.Errorf("list --blocked printed %s", out)
	}
}

// rot changes the file as no version of the program does.
func (c *cli) rot(statement string) {
	c.t.Helper()
	db, err := sqlite3.Open(c.path())
	if err != nil {
		c.t.Fatal(err)
	}
	if err := errors.Join(db.Exec(statement), db.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// A store that has lost a time to wake: what the doctor is for.
func TestDoctorFindsALostWakeUp(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Naps", "n-1")
	c.must("start", "Waits", "w-1")
	stop := c.work(slog.DiscardHandler,
		lambdabiz.Define("Naps", func(o lambdabiz.Context, _ any) (any, error) {
			return nil, lambdabiz.Sleep(o, "nap", 1<<50)
		}),
		lambdabiz.Define("Waits", func(o lambdabiz.Context, _ any) (any, error) {
			return lambdabiz.WaitForEvent[any](o, "go")
		}))
	for id, operation := range map[string]string{"n-1": "nap", "w-1": "go"} {
		w := c.start("watch", id, "--interval", "10ms")
		w.waitFor(id, operation)
		w.interrupt()
		w.ends(exitInterrupted)
	}
	stop()
	c.finds(nil) // released until what they wait for happens
	c.rot("UPDATE runs SET wake_at = NULL")
	c.finds(map[string]string{"n-1": problemAsleep})
	c.rot("UPDATE operations SET error = 'x' WHERE run_no = (SELECT no FROM runs WHERE id = 'w-1')")
	c.finds(map[string]string{"n-1": problemAsleep, "w-1": problemUnreadable})
	c.fails(exitError, "column error in the file cannot be read", "show", "w-1")
	c.rot("UPDATE runs SET tags = 'x' WHERE id = 'w-1'")
	if out := c.must("list"); !strings.Contains(out, "w-1") || !strings.Contains(out, "n-1") {
		t.Errorf("list prints\n%s", out)
	}
}

// A program has locked the file, as one that is frozen in a transaction does: nobody can write, and all runs look well.
func TestDoctorSeesALockedFile(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.waiting()
	db, err := sqlite3.Open("file:" + c.path())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	c.finds(map[string]string{"": problemLocked})
	c.fails(exitProblems, "need help", "doctor")
	if err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	c.finds(nil)
	c.must("resume", "RESTSequence1")
	p.ends(exitOK)
}

type lockedBackend struct {
	lambdabiz.Backend
	holder *lambdabiz.Holder
}

func (b lockedBackend) LockedBy(context.Context, time.Duration) (*lambdabiz.Holder, error) {
	return b.holder, nil
}

func TestDoctorNamesWhoHasLockedTheFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		holder *lambdabiz.Holder
		want   string
	}{
		"nobody":    {nil, ""},
		"a moment":  {&lambdabiz.Holder{Host: "h", PID: 7, Since: time.Now()}, ""},
		"long":      {&lambdabiz.Holder{Host: "h", PID: 7, Since: time.Now().Add(-time.Minute)}, "process 7 on h"},
		"not known": {&lambdabiz.Holder{}, "does not say so"},
	} {
		p, err := lockedProblem(t.Context(), lockedBackend{nil, test.holder})
		if err != nil {
			t.Fatal(err)
		}
		if (p != nil) != (test.want != "") || p != nil && !strings.Contains(p.Detail, test.want) {
			t.Errorf("%s: %+v, want %q", name, p, test.want)
		}
	}
}
