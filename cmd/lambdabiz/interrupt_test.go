package main

import (
	"net"
	"strings"
	"testing"
)

// holdApproval starts RESTSequence1 paused, so that Sequence3 waits for its approval.
func (c *cli) holdApproval() {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
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
	p := c.start("demo", "--timer", "1s")
	p.waitFor("Sequence3: waits for timer 30SecTimer")
	p.interrupt()
	text := p.ends(exitInterrupted)
	if !strings.Contains(text, "lambdabiz: interrupted") {
		t.Errorf("it does not say that it was interrupted:\n%s", text)
	}
	before := c.show("Sequence3")
	if before.Status != "STARTED" || len(before.WaitingFor) != 1 || before.WaitingFor[0].Operation != timerID {
		t.Errorf("after the interruption Sequence3 is %+v", before)
	}
	c.start("demo", "--timer", "1s").ends(exitOK)
	after := c.show("Sequence3")
	sameAsBefore(t, &before, &after)
	old, now := before.operation(t, timerID), after.operation(t, timerID)
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
