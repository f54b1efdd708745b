package limits_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// part is one operation of an orchestration whose code is a list of them.
type part struct {
	ID, Kind, Name string
	In             int
	Held           bool // it takes an hour, so that it is open when the code changes
}

var errBusy = errors.New("busy")

// patient repeats what has failed after an hour.
var patient = lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3, Initial: time.Hour, Max: time.Hour, Jitter: -1})

// work is the body of a step or a task: with held it fails at first.
func work(ctx context.Context, in int, held bool) (int, error) {
	if info, ok := lambdabiz.TaskInfoFrom(ctx); held && ok && info.Attempt == 1 {
		return 0, errBusy
	}
	return in, nil
}

// heldInput marks the input of a task or child that shall take an hour.
const heldInput = 1 << 20

func newTask(name string) *lambdabiz.Task[int, int] {
	return lambdabiz.NewTask(name, func(ctx context.Context, in int) (int, error) { return work(ctx, in, in >= heldInput) })
}

func newChild(name string) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define(name, func(o lambdabiz.Context, in int) (int, error) {
		if in >= heldInput {
			return in, lambdabiz.Sleep(o, "hour", time.Hour)
		}
		return in, nil
	})
}

var (
	tasks    = map[string]*lambdabiz.Task[int, int]{"T1": newTask("T1"), "T2": newTask("T2")}
	children = map[string]*lambdabiz.Definition[int, int]{"C1": newChild("C1"), "C2": newChild("C2")}
	sink     = lambdabiz.Define("Sink", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "never")
	})
)

// named are the kinds whose operations have a name, and others of it.
var named = map[string][2]string{"TASK": {"T1", "T2"}, "EVENT": {"E1", "E2"}, "CHILD": {"C1", "C2"}}

// kinds are all kinds of operations that a list can have, and branches.
var kinds = []string{"TASK", "STEP", "TIMER", "EVENT", "RAISE", "CHILD", "RACE", "BRANCH"}

// guarded are the kinds of which a new one with the name and input of a recorded one blocks.
var guarded = []string{"TASK", "RAISE", "CHILD"}

func newPart(id, kind string, held bool) part {
	return part{ID: id, Kind: kind, Name: named[kind][0], In: 7, Held: held}
}

// do runs the operation.
func (p part) do(o lambdabiz.Context) error {
	wait := time.Second
	if p.Held {
		wait, p.In = time.Hour, p.In+heldInput
	}
	var err error
	switch p.Kind {
	case "TASK":
		_, err = lambdabiz.Call(o, p.ID, tasks[p.Name], p.In, patient)
	case "STEP":
		_, err = lambdabiz.Step(o, p.ID, func(ctx context.Context) (int, error) { return work(ctx, p.In, p.Held) }, patient)
	case "TIMER":
		err = lambdabiz.Sleep(o, p.ID, wait+time.Duration(p.In)*time.Microsecond)
	case "EVENT":
		var late *lambdabiz.EventTimeoutError
		if _, err = lambdabiz.WaitForEvent[int](o, p.ID, lambdabiz.Named(p.Name), lambdabiz.Timeout(wait)); errors.As(err, &late) {
			err = nil
		}
	case "RAISE":
		err = lambdabiz.RaiseEvent(o, p.ID, "sink", "E1", p.In)
	case "CHILD":
		_, err = lambdabiz.CallChild(o, p.ID, children[p.Name], p.In)
	case "RACE":
		branch := func(id string, wait time.Duration) *lambdabiz.Future[int] {
			return lambdabiz.Go(o, id, func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "nap", wait) })
		}
		slow, fast := branch(p.ID+" slow", 2*wait), branch(p.ID+" fast", wait)
		if _, err = lambdabiz.Race(o, p.ID, slow, fast); err == nil {
			_, err = fast.Wait(o)
		}
	case "BRANCH":
		_, err = lambdabiz.Go(o, p.ID, func(o lambdabiz.Context) (int, error) { return 1, lambdabiz.Sleep(o, "nap", wait) }).Wait(o)
	}
	return err
}

// listed is an orchestration whose code is a list; it ends when somebody says go.
func listed(name string, list []part) *lambdabiz.Definition[int, int] {
	return lambdabiz.Define(name, func(o lambdabiz.Context, in int) (int, error) {
		for _, p := range list {
			if err := p.do(o); err != nil {
				return 0, err
			}
		}
		_, err := lambdabiz.WaitForEvent[bool](o, "go")
		return in + 1, err
	})
}

// base is one operation of every kind; the one that is held comes last.
func base(held string) []part {
	var list []part
	for _, kind := range kinds {
		list = append(list, newPart("the "+kind, kind, kind == held))
	}
	slices.SortStableFunc(list, func(a, b part) int {
		switch {
		case a.Held:
			return 1
		case b.Held:
			return -1
		}
		return 0
	})
	return list
}

// mutation is a change of the code while a run is in flight.
type mutation struct {
	name          string
	before, after []part
	blocks        string // the reason, if it blocks
	at            string // the operation's id
	orphan        bool   // something recorded is not visited any more
}

// change returns the list with one part changed.
func change(list []part, kind string, f func(p *part)) []part {
	list = slices.Clone(list)
	for i := range list {
		if list[i].Kind == kind {
			f(&list[i])
			return list
		}
	}
	return list
}

// mutations is every change of every kind of operation, ended and open.
func mutations() []mutation {
	var all []mutation
	for _, kind := range kinds {
		for _, held := range []string{"", kind} {
			if held == "RAISE" {
				continue // it is never open
			}
			before, id := base(held), "the "+kind
			add := func(name string, after []part, blocks string, orphan bool) {
				all = append(all, mutation{fmt.Sprintf("%s held by %q: %s", kind, held, name), before, after, blocks, id, orphan})
			}
			repeats := func(id string) {
				if slices.Contains(guarded, kind) {
					all[len(all)-1].blocks, all[len(all)-1].at, all[len(all)-1].orphan = "would repeat", id, false
				}
			}
			add("inserted first", slices.Insert(slices.Clone(before), 0, newPart("new", kind, false)), "", false)
			if held == "" { // else the recorded one has another input
				repeats("new")
			}
			add("inserted last", append(slices.Clone(before), newPart("new", kind, false)), "", false)
			without := slices.DeleteFunc(slices.Clone(before), func(p part) bool { return p.Kind == kind })
			add("removed", without, "", true)
			reversed := slices.Clone(before)
			slices.Reverse(reversed)
			add("reordered", reversed, "", false)
			add("renamed", change(before, kind, func(p *part) { p.ID = "renamed" }), "", true)
			repeats("renamed")
			add("another input", change(before, kind, func(p *part) { p.In++ }), "", false)
			if names, has := named[kind]; has {
				add("another name", change(before, kind, func(p *part) { p.Name = names[1] }), "recorded as "+kind+" ", false)
			}
			for _, other := range kinds {
				if other == kind {
					continue
				}
				blocks := "recorded as " + kind + " "
				switch {
				case kind == "BRANCH", kind == "RACE" && held == kind:
					blocks = "" // recorded is what is inside; of a race too, until it is decided
				case other == "BRANCH":
					blocks = "the code has a branch now"
				}
				after := change(before, kind, func(p *part) { p.Kind, p.Name = other, named[other][0] })
				add("now a "+other, after, blocks, kind == "BRANCH" || kind == "RACE" && blocks == "")
			}
		}
	}
	return all
}

// items are what every version of the code has.
func items() lambdabiz.Registrables {
	all := lambdabiz.Registrables{sink}
	for _, t := range tasks {
		all = append(all, t)
	}
	for _, c := range children {
		all = append(all, c)
	}
	return all
}

// version registers one side of all mutations.
func version(all []mutation, list func(m mutation) []part) lambdabiz.Registrables {
	registered := items()
	for _, m := range all {
		registered = append(registered, listed(m.name, list(m)))
	}
	return registered
}

// changeCode lets all mutations happen while runs are in flight, and says what is wrong.
func changeCode(
	t *testing.T, h home, all []mutation, wrap func(lambdabiz.Backend) lambdabiz.Backend,
) (free, blocked int, complaint string) {
	t.Helper()
	line := regexp.MustCompile(`changed_test\.go:\d+$`)
	complaint = bubble(t, h, 240*time.Hour, wrap, func(b *bench) {
		config := func(version string) lambdabiz.Config { return lambdabiz.Config{Version: version} }
		old := version(all, func(m mutation) []part { return m.before })
		e, stop := b.worker(config("1"), old)
		start(b, e, sink, "sink", 1)
		for _, m := range all {
			_, err := e.StartByName(b.ctx, m.name, m.name, 1)
			b.check(err)
		}
		time.Sleep(10 * time.Minute)
		stop()
		e, stop = b.worker(config("2"), version(all, func(m mutation) []part { return m.after }))
		for _, m := range all {
			b.check(e.RaiseEvent(b.ctx, m.name, "go", true))
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		for _, m := range all {
			s := b.state(e, m.name)
			switch {
			case m.blocks == "" && (s.Status != lambdabiz.StatusSucceeded || string(s.Result) != "2"):
				b.complainf("%s: %v, blocked %+v, error %+v", m.name, s.Status, s.Blocked, s.Error)
			case m.blocks == "" && m.orphan != (len(s.Orphans) > 0):
				b.complainf("%s: orphans %v", m.name, s.Orphans)
			case m.blocks == "":
				free++
			case s.Blocked == nil || !strings.Contains(s.Blocked.Reason, m.blocks) || s.Blocked.Operation != m.at,
				!line.MatchString(s.Blocked.Source):
				b.complainf("%s: %v, result %s, blocked %+v", m.name, s.Status, s.Result, s.Blocked)
			default:
				blocked++
			}
		}
		stop()
		e, _ = b.worker(config("3"), old)
		time.Sleep(3 * time.Hour)
		for _, m := range all {
			if s := b.state(e, m.name); s.Status != lambdabiz.StatusSucceeded || string(s.Result) != "2" {
				b.complainf("%s, put back: %v, blocked %+v", m.name, s.Status, s.Blocked)
			}
		}
	})
	return free, blocked, complaint
}

// Code changes while orchestrations are in flight: what is inserted, removed, reordered or has another input just
// works; another kind or name, and an effect that would be repeated because its id was renamed, blocks, with the id
// and the source line, until the code is put back.
func TestChangedCode(t *testing.T) {
	all := mutations()
	onHomes(t, func(t *testing.T, h home) {
		some := all
		if underRace && campaign.Rounds(t, 1, 1000) == 1 {
			some = slices.DeleteFunc(slices.Clone(all), func(m mutation) bool { return len(m.name)%5 != 0 })
		}
		free, blocked, complaint := changeCode(t, h, some, nil)
		if complaint != "" {
			t.Error(complaint)
		}
		campaign.Report(t, "F35", []campaign.Count{{What: "mutations that just work", N: free}, {What: "that block", N: blocked}})
	})
}

// Without the comparison of kinds and names, an operation takes another one's result in silence.
func TestSabotageIdentityNotCompared(t *testing.T) {
	t.Parallel()
	all := slices.DeleteFunc(mutations(), func(m mutation) bool { return m.blocks == "" })
	_, _, complaint := changeCode(t, homes[0], all, func(b lambdabiz.Backend) lambdabiz.Backend {
		return recordings{b, func(r *lambdabiz.Record) {
			for _, m := range all {
				if m.name != r.Name {
					continue
				}
				for i := range r.Operations {
					o := &r.Operations[i]
					at := slices.IndexFunc(m.after, func(p part) bool { return p.ID == o.ID })
					if at >= 0 && o.ID == m.at && o.Kind.UnmarshalText([]byte(m.after[at].Kind)) == nil {
						o.Name = m.after[at].Name
					}
				}
			}
		}}
	})
	campaign.Red(t, "F35", "the comparison of kind and name", complaint)
}
