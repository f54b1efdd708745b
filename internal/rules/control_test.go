package rules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

const reason = "because of the rain"

func control(t *testing.T, h rules.Head, k lambdabiz.Control) rules.Change {
	t.Helper()
	k.Reason = reason
	c, err := rules.Control(&h, &k, noon)
	if err != nil {
		t.Fatalf("%+v: %v", k, err)
	}
	return c
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	open, ended, ofParent := run(), run(succeeded), run(child(false))
	same, other := *ofParent.Parent, *ofParent.Parent
	other.Operation++
	for kind := lambdabiz.ControlCancel; kind <= lambdabiz.ControlDrop; kind++ {
		for name, c := range map[string]struct {
			head   *rules.Head
			parent *lambdabiz.Parent
			want   error
		}{
			"nobody":                    {nil, nil, lambdabiz.ErrNotFound},
			"one that has ended":        {&ended, nil, lambdabiz.ErrClosed},
			"one without a parent":      {&open, &same, lambdabiz.ErrNotFound},
			"another operation's":       {&ofParent, &other, lambdabiz.ErrNotFound},
			"its child":                 {&ofParent, &same, nil},
			"one, whoever its parent":   {&ofParent, nil, nil},
			"one that nobody speaks of": {&open, nil, nil},
		} {
			_, err := rules.Control(c.head, &lambdabiz.Control{Kind: kind, ID: "a", Parent: c.parent}, noon)
			if !errors.Is(err, c.want) {
				t.Errorf("kind %d of %s: %v, want %v", kind, name, err, c.want)
			}
		}
	}
	if _, err := rules.Control(&open, &lambdabiz.Control{Kind: 99, ID: "a"}, noon); err == nil {
		t.Error("an unknown kind is no error")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		if !h.Open() {
			continue
		}
		c := control(t, h, lambdabiz.Control{Kind: lambdabiz.ControlCancel})
		if h.Cancelled {
			if c != (rules.Change{Head: h}) {
				t.Errorf("%+v: a second one has done %+v", h, c)
			}
			continue
		}
		want := rules.Deliver(h)
		want.Cancelled, want.CancelReason = true, reason
		m := c.Message
		if c.Head != want || m == nil || m.Kind != lambdabiz.MessageCancel || !m.ArrivedAt.Equal(noon) ||
			!strings.Contains(m.Error.Message, reason) || c.Withdraw || c.Outcome != nil {
			t.Errorf("%+v:\n%+v with message %+v", h, c, m)
		}
	}
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		if !h.Open() {
			continue
		}
		child(false)(&h)
		c := control(t, h, lambdabiz.Control{Kind: lambdabiz.ControlTerminate})
		want := rules.Head{
			ID: h.ID, RunID: h.RunID, Name: h.Name, Parent: h.Parent, Status: lambdabiz.StatusTerminated, Fence: h.Fence + 1,
			Cancelled: h.Cancelled, CancelReason: h.CancelReason,
		}
		if c.Head != want || c.Head.Writable(h.Fence) || c.Message != nil {
			t.Errorf("%+v:\n got %+v\nwant %+v", h, c.Head, want)
		}
		if c.Error == nil || c.Error.Message != "orchestration was terminated: "+reason || len(c.Error.Causes) != 1 ||
			c.Error.Causes[0].Code != "terminated" {
			t.Errorf("its error is %+v", c.Error)
		}
		if c.Outcome == nil || c.Outcome.Status != lambdabiz.StatusTerminated || c.Outcome.Error != c.Error {
			t.Errorf("its parent hears %+v", c.Outcome)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for _, h := range append(allHeads(), run(byHand)) {
		if !h.Open() {
			continue
		}
		c := control(t, h, lambdabiz.Control{Kind: lambdabiz.ControlPause})
		if h.Paused {
			if c != (rules.Change{Head: h}) {
				t.Errorf("%+v: a second one has done %+v", h, c)
			}
			continue
		}
		want := h
		want.Paused, want.PauseReason, want.Due = true, reason, time.Time{}
		if c.Head != want || (c.Message != nil) != h.Held || c.Withdraw || c.Outcome != nil {
			t.Errorf("%+v:\n%+v with message %+v", h, c.Head, c.Message)
		}
		if m := c.Message; m != nil && (m.Kind != lambdabiz.MessagePause || m.Error.Message != reason) {
			t.Errorf("its holder hears %+v", m)
		}
	}
	h := run(held)
	c, err := rules.Control(&h, &lambdabiz.Control{Kind: lambdabiz.ControlPause}, noon)
	if err != nil || c.Message.Error != nil {
		t.Errorf("without a reason: %+v, %v", c.Message, err)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		if !h.Open() {
			continue
		}
		c := control(t, h, lambdabiz.Control{Kind: lambdabiz.ControlResume})
		want := h
		want.Paused, want.PauseReason, want.Blocked, want.Due = false, "", false, rules.AtOnce()
		if c.Head != want || !c.Withdraw || c.Message != nil || c.Outcome != nil {
			t.Errorf("%+v:\n%+v", h, c)
		}
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	for _, h := range allHeads() {
		if !h.Open() {
			continue
		}
		c := control(t, h, lambdabiz.Control{Kind: lambdabiz.ControlDrop, Number: 11})
		want := h
		want.Blocked = false
		want = rules.Deliver(want)
		m := c.Message
		if c.Head != want || m == nil || m.Kind != lambdabiz.MessageDrop || m.Operation != 11 || !m.ArrivedAt.Equal(noon) {
			t.Errorf("%+v:\n%+v with message %+v", h, c.Head, m)
		}
	}
}
