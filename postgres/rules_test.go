package postgres_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

var errSpoilt = errors.New("spoilt")

func (b *bundle) head(id string) rules.Head {
	b.t.Helper()
	h, err := b.Head(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// runs are runs in many states, by id. Worker holds those that are held.
func (b *bundle) runs() []string {
	b.t.Helper()
	end := func(_ string, ref lambdabiz.RunRef) {
		b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}})
	}
	release := func(ref lambdabiz.RunRef, r lambdabiz.Release) {
		b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Release: &r})
	}
	blocked := func(version string) *lambdabiz.Blocked {
		return &lambdabiz.Blocked{Reason: "a mistake", Version: version, Times: 1, Since: b.now}
	}
	states := []struct {
		id   string
		make func(id string, ref lambdabiz.RunRef)
	}{
		{"held", func(string, lambdabiz.RunRef) {}},
		{"held, paused", func(id string, _ lambdabiz.RunRef) { b.control(lambdabiz.ControlPause, id, "why") }},
		{"held, resumed", func(id string, _ lambdabiz.RunRef) {
			b.control(lambdabiz.ControlPause, id, "why")
			b.control(lambdabiz.ControlResume, id, "")
		}},
		{"held, cancelled", func(id string, _ lambdabiz.RunRef) { b.control(lambdabiz.ControlCancel, id, "why") }},
		{"parked", func(_ string, ref lambdabiz.RunRef) { release(ref, lambdabiz.Release{WakeAt: b.now.Add(time.Hour)}) }},
		{"parked for ever", func(_ string, ref lambdabiz.RunRef) { release(ref, lambdabiz.Release{}) }},
		{"blocked by v1", func(_ string, ref lambdabiz.RunRef) {
			release(ref, lambdabiz.Release{WakeAt: b.now.Add(time.Hour), Blocked: blocked("v1")})
		}},
		{"blocked by v2", func(_ string, ref lambdabiz.RunRef) { release(ref, lambdabiz.Release{Blocked: blocked("v2")}) }},
		{"blocked by none", func(_ string, ref lambdabiz.RunRef) { release(ref, lambdabiz.Release{Blocked: blocked("")}) }},
		{"blocked, paused", func(id string, ref lambdabiz.RunRef) {
			release(ref, lambdabiz.Release{Blocked: blocked("v1")})
			b.control(lambdabiz.ControlPause, id, "why")
		}},
		{"ended", end},
	}
	ids := make([]string, len(states))
	for i, s := range states {
		ids[i] = s.id
		s.make(s.id, b.start(s.id))
	}
	return ids
}

// The statement that frees what a worker has held does what the rules say.
func TestLeaveDoesWhatTheRulesSay(t *testing.T) {
	t.Parallel()
	for _, leaves := range []struct {
		beat int64
		rule func(rules.Head) rules.Head
	}{{-1, rules.Taken}, {0, rules.Crashed}} {
		b := setup(t)
		before := map[string]rules.Head{}
		for _, id := range b.runs() {
			before[id] = b.head(id)
		}
		if err := b.Leave(t.Context(), b.worker, leaves.beat); err != nil {
			t.Fatal(err)
		}
		held := 0
		for id, was := range before {
			want := was
			if was.Held {
				want = leaves.rule(was)
				held++
			}
			if got := b.head(id); !reflect.DeepEqual(got, want) {
				t.Errorf("with beat %d, %s:\n got %+v\nwant %+v", leaves.beat, id, got, want)
			}
		}
		if held != 4 {
			t.Errorf("%d runs were held", held)
		}
	}
}

// The statement that wakes what another version has blocked does what the rule says.
func TestJoinDoesWhatTheRuleSays(t *testing.T) {
	t.Parallel()
	for _, w := range []lambdabiz.WorkerInfo{
		{Version: "v2", Names: []string{"Order", "Bill"}},
		{Version: "v2", Names: []string{"Bill"}},
		{Version: "v2"},
		{Version: "", Names: []string{"Order"}},
	} {
		b := setup(t)
		woken := 0
		before := map[string]rules.Head{}
		by := map[string]string{}
		for _, id := range b.runs() {
			before[id] = b.head(id)
			if blocked := b.load(id).Blocked; blocked != nil {
				by[id] = blocked.Version
			}
		}
		if _, err := b.Join(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		for id, was := range before {
			want, wakes := rules.Unblocks(was, by[id], &w)
			if wakes {
				woken++
			}
			if got := b.head(id); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %s:\n got %+v\nwant %+v", w, id, got, want)
			}
		}
		if serves := len(w.Names) > 0 && w.Names[0] == "Order"; serves != (woken > 0) {
			t.Errorf("%+v: %d runs are due again", w, woken)
		}
	}
}

// A run that cannot be read is set aside as the rule says, and holds up nobody.
func TestARunThatCannotBeReadIsSetAside(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"its own row":      "UPDATE lambdabiz.runs SET tags = '{' WHERE id = 'bad'",
		"an operation":     "UPDATE lambdabiz.operations SET kind = 999 WHERE run_no = (SELECT no FROM lambdabiz.runs WHERE id = 'bad')",
		"what few have":    "UPDATE lambdabiz.operations SET rest = 'x' WHERE run_no = (SELECT no FROM lambdabiz.runs WHERE id = 'bad')",
		"a message":        "UPDATE lambdabiz.inbox SET error = 'x' WHERE run_no = (SELECT no FROM lambdabiz.runs WHERE id = 'bad')",
		"a text of others": "UPDATE lambdabiz.runs SET version = chr(1) || '?' WHERE id = 'bad'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for _, id := range []string{"bad", "good"} {
				ref := b.start(id)
				b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: id, Name: "e"}}})
				b.commit(&lambdabiz.Commit{
					Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}, Release: &lambdabiz.Release{},
				})
			}
			before := b.head("bad")
			execute(t, b.url, spoil)
			claims := b.claim(10, 0)
			if len(claims.Runs) != 1 || claims.Runs[0].ID != "good" {
				t.Fatalf("claimed: %+v", claims.Runs)
			}
			why := rules.Unreadable(errSpoilt, b.now)
			want := rules.Release(rules.Claim(before, b.worker), &lambdabiz.Release{WakeAt: why.RetryAt, Blocked: why}, false)
			if got := b.head("bad"); !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			page, err := b.List(t.Context(), lambdabiz.Filter{Blocked: true})
			if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "bad" {
				t.Errorf("listed as blocked: %+v, %v", page.Runs, err)
			}
			if name != "its own row" {
				return
			}
			v := b.commitAll(
				&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "bad", Name: "e"}}},
				&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "good", Name: "e"}}},
			)
			if v[0].Err == nil || v[1].Err != nil {
				t.Errorf("verdicts %v and %v, want an error of the first alone", v[0].Err, v[1].Err)
			}
		})
	}
}
