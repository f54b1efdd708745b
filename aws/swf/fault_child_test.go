package swf_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/memory"
)

// sleeper waits for a word.
var sleeper = lambdabiz.Define("Sleeper", func(o lambdabiz.Context, _ int) (string, error) {
	return lambdabiz.WaitForEvent[string](o, "word")
})

// parents are runs with a child each, and what their code does with it.
func parents() map[string]*lambdabiz.Definition[int, string] {
	return map[string]*lambdabiz.Definition[int, string]{
		"waits": lambdabiz.Define("Waits", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.CallChild(o, "child", sleeper, 1, lambdabiz.ChildID("child"))
		}),
		"leaves": lambdabiz.Define("Leaves", func(o lambdabiz.Context, _ int) (string, error) {
			lambdabiz.Go(o, "branch", func(o lambdabiz.Context) (string, error) {
				return lambdabiz.CallChild(o, "child", sleeper, 1, lambdabiz.ChildID("child"))
			})
			return "left", lambdabiz.Sleep(o, "nap", time.Minute)
		}),
		"detached": lambdabiz.Define("Detached", func(o lambdabiz.Context, _ int) (string, error) {
			return lambdabiz.StartChild(o, "child", sleeper, 1, lambdabiz.ChildID("child"))
		}),
	}
}

func TestChildren(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parent string
		taken  bool // the id of the child is in use
		do     func(p *process)
		check  func(out string, err error) bool
		child  lambdabiz.Status // in the end
	}{
		"ends": {
			parent: "waits", do: func(p *process) { p.raise("child", "word", "hello") },
			check: func(out string, err error) bool { return out == "hello" && err == nil }, child: lambdabiz.StatusSucceeded,
		},
		"has an id that is in use": {
			parent: "waits", taken: true, do: func(*process) {},
			check: func(_ string, err error) bool { return err != nil }, child: lambdabiz.StatusStarted,
		},
		"is cancelled with its parent": {
			parent: "waits", do: func(p *process) {
				if err := p.Cancel(p.t.Context(), "parent", ""); err != nil {
					p.t.Fatal(err)
				}
			},
			check: func(_ string, err error) bool { return errors.Is(err, lambdabiz.ErrCancelled) }, child: lambdabiz.StatusCancelled,
		},
		"is cancelled alone": {
			parent: "waits", do: func(p *process) {
				if err := p.Cancel(p.t.Context(), "child", ""); err != nil {
					p.t.Fatal(err)
				}
			},
			check: func(_ string, err error) bool { return errors.Is(err, lambdabiz.ErrCancelled) }, child: lambdabiz.StatusCancelled,
		},
		"is terminated": {
			parent: "waits", do: func(p *process) {
				if err := p.Terminate(p.t.Context(), "child", "enough"); err != nil {
					p.t.Fatal(err)
				}
			},
			check: func(_ string, err error) bool { return errors.Is(err, lambdabiz.ErrTerminated) }, child: lambdabiz.StatusTerminated,
		},
		"goes on when its parent is terminated": {
			parent: "waits", do: func(p *process) {
				if err := p.Terminate(p.t.Context(), "parent", "enough"); err != nil {
					p.t.Fatal(err)
				}
			},
			check: func(_ string, err error) bool { return errors.Is(err, lambdabiz.ErrTerminated) }, child: lambdabiz.StatusStarted,
		},
		"goes on when its parent has ended": {
			parent: "leaves", do: func(*process) {},
			check: func(out string, err error) bool { return out == "left" && err == nil }, child: lambdabiz.StatusCancelled,
		},
		"is detached": {
			parent: "detached", do: func(*process) {},
			check: func(out string, err error) bool { return out == "child" && err == nil }, child: lambdabiz.StatusStarted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				d := parents()[c.parent]
				config := configFor(server)
				config.Store = memory.NewStore() // without one a child cannot be told from an older run of its id
				p := client(t, config).workOn(d, sleeper)
				policy := lambdabiz.OnUsedID(lambdabiz.RejectOpen)
				if c.taken {
					if _, err := lambdabiz.Start(t.Context(), p.Engine, sleeper, "child", 1, policy); err != nil {
						t.Fatal(err)
					}
				}
				run, err := lambdabiz.Start(t.Context(), p.Engine, d, "parent", 1, policy)
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(10 * time.Second)
				c.do(p)
				out, err := run.Result(t.Context())
				if !c.check(out, err) {
					t.Errorf("%q %v", out, err)
				}
				<-time.After(time.Minute)
				if state, err := p.State(t.Context(), "child"); err != nil {
					t.Error(err)
				} else if state.Status != c.child {
					t.Errorf("the child is %s", state.Status)
				}
				wantSound(t, server, "parent")
				wantSound(t, server, "child")
			})
		})
	}
}
