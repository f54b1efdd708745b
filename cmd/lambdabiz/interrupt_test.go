package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
)

// holdApproval starts RESTSequence1 paused, so that Sequence3 waits for its approval.
func (c *cli) holdApproval() {
	c.t.Helper()
	free := "127.0.0.1:0"
	if runtime.GOOS == "linux" { // all of 127/8 is this machine; the ports of 127.0.0.1 go to whoever comes next
		free = fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	}
	listener, err := (&net.ListenConfig{}).Listen(c.t.Context(), "tcp", free)
	if err != nil {
		c.t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // the demo takes the port over
		c.t.Fatal(err)
	}
	c.must("start", "RESTSequence1", "RESTSequence1", `{"URL":"http://`+address+`/","Approve":"Sequence3"}`)
	c.must("pause", "RESTSequence1")
}

func TestDemoInterruptedInTheTimer(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.start("demo", "--timer", "4s") // it must not be over before the interruption
	p.waitFor("Sequence3: waits for timer 30SecTimer")
	p.interrupt()
	text := p.ends(exitInterrupted)
	if !strings.Contains(text, "lambdabiz: interrupted") {
		t.Errorf("it does not say that it was interrupted:\n%s", text)
	}
	before := c.show("Sequence3")
	if before.Status != "STARTED" || len(before.WaitingFor) != 1 || before.WaitingFor[0].Operation != demo.TimerID {
		t.Errorf("after the interruption Sequence3 is %+v", before)
	}
	c.start("demo", "--timer", "4s").ends(exitOK)
	after := c.show("Sequence3")
	sameAsBefore(t, &before, &after)
	old, now := before.operation(t, demo.TimerID), after.operation(t, demo.TimerID)
	if !old.StartedAt.Equal(*now.StartedAt) {
		t.Errorf("the timer began again: at %v and at %v", old.StartedAt, now.StartedAt)
	}
}

func TestDemoInterruptedInTheWait(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.holdApproval()
	p := c.start("demo", "--timer", "0")
	p.waitFor("Sequence3: waits for event Approve")
	p.interrupt()
	p.ends(exitInterrupted)
	before := c.show("Sequence3")
	if len(before.WaitingFor) != 1 || before.WaitingFor[0].Operation != "Approve" {
		t.Errorf("after the interruption Sequence3 waits for %v", before.WaitingFor)
	}
	if out := c.must("doctor"); !strings.Contains(out, "all have a reason to wake") {
		t.Errorf("doctor says %s", out)
	}
	c.must("resume", "RESTSequence1")
	c.start("demo", "--timer", "0").ends(exitOK)
	after := c.show("Sequence3")
	sameAsBefore(t, &before, &after)
}

func TestDemoInterruptedAtOnce(t *testing.T) {
	t.Parallel()
	c := setup(t)
	p := c.start("demo", "--timer", "10ms")
	p.waitFor("RESTSequence1: starts")
	p.interrupt()
	if text, code := p.end(); code != exitInterrupted && code != exitOK { // it may have been faster
		t.Errorf("exit code %d:\n%s", code, text)
	}
	c.start("demo", "--timer", "10ms").ends(exitOK)
}

func TestWatchInterrupted(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	for _, args := range [][]string{{"watch"}, {"watch", "n-1", "-o", "json"}} {
		p := c.start(args...)
		p.waitFor("n-1")
		p.interrupt()
		if text := p.ends(exitInterrupted); !strings.Contains(text, "lambdabiz: interrupted") {
			t.Errorf("%v: it does not say that it was interrupted:\n%s", args, text)
		}
	}
}

// While an operation hangs, the first Ctrl-C waits for it to end, and the second one does not.
func TestDemoInterruptedTwice(t *testing.T) {
	t.Parallel()
	c := setup(t)
	called, release := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(called) })
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once()
		<-release
	}))
	defer hanging.Close()
	defer close(release)
	_, port, _ := net.SplitHostPort(hanging.Listener.Addr().String())
	c.must("start", "RESTSequence1", "RESTSequence1", `{"URL":"http://localhost:`+port+`/","Approve":"Sequence3"}`)
	p := c.start("demo", "--timer", "0")
	p.waitFor("Sequence3: waits for event Approve")
	<-called
	p.interrupt()
	p.waitFor("interrupted: what has ended is recorded")
	p.interrupt()
	p.ends(-int(syscall.SIGINT))
	if s := c.show("Sequence3"); s.Status != "STARTED" || len(s.WaitingFor) != 1 {
		t.Errorf("after the second Ctrl-C Sequence3 is %+v", s)
	}
	c.fails(exitConflict, "already used", "start", "RESTSequence1", "RESTSequence1", "--on-used-id", "reject-open")
}

func TestWatchTerminated(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Nobody", "n-1")
	p := c.start("watch")
	p.waitFor("n-1")
	p.signal(syscall.SIGTERM)
	if text := p.ends(128 + int(syscall.SIGTERM)); !strings.Contains(text, "lambdabiz: ended by SIGTERM") {
		t.Errorf("it does not say that it was ended:\n%s", text)
	}
}

// A read of standard input cannot be ended, but the program can.
func TestInterruptedWhileReadingStandardInput(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	defer func() { _ = write.Close() }()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan int, 1)
	var errs bytes.Buffer
	c := setup(t)
	go func() {
		done <- run(ctx, []string{"--backend", c.backend, "start", "N", "n-1", "-"}, read, io.Discard, &errs)
	}()
	if _, err := write.Write([]byte("{")); err != nil { // returns when it has been read
		t.Fatal(err)
	}
	cancel(&interruptError{os.Interrupt})
	if code := <-done; code != exitInterrupted || !strings.HasSuffix(errs.String(), "interrupted\n") {
		t.Errorf("exit code %d, standard error %q", code, &errs)
	}
	if _, err := os.Stat(c.path()); err == nil {
		t.Error("it has created the file")
	}
}
