package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// scene is three workers and a run: the owner has it, the watcher takes the owner for dead by what it has read
// before, and the heir takes over what is free. Each does two things in its own order.
type scene struct {
	t                    *testing.T
	b                    lambdabiz.Backend // what they see
	id                   string            // of the run, and of its definition: nobody else serves that
	owner, watcher, heir int64
	mine, its            *lambdabiz.RunRef // the owner's claim, the heir's one

	beat     int64 // as the watcher has read it
	read     bool
	renewed  bool // since the watcher has read
	removed  bool // the watcher was told so
	accepted []string
	wrong    []string
}

var begun = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func newScene(t *testing.T, b lambdabiz.Backend, id string) *scene {
	t.Helper()
	s := &scene{t: t, b: b, id: id}
	for _, number := range []*int64{&s.owner, &s.watcher, &s.heir} {
		n, err := b.Join(t.Context(), lambdabiz.WorkerInfo{Names: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		*number = n
	}
	if v := s.commit(&lambdabiz.Commit{At: begun, Starts: []lambdabiz.RunStart{{ID: id, RunID: "r", Name: id}}}); v.Err != nil {
		t.Fatal(v.Err)
	}
	if s.mine = s.claim(s.owner); s.mine == nil {
		t.Fatal("the owner did not get the run")
	}
	return s
}

func (s *scene) commit(c *lambdabiz.Commit) lambdabiz.Verdict {
	s.t.Helper()
	v, err := s.b.Commit(s.t.Context(), []*lambdabiz.Commit{c})
	if err != nil {
		s.t.Fatal(err)
	}
	return v[0]
}

func (s *scene) claim(worker int64) *lambdabiz.RunRef {
	s.t.Helper()
	claims, err := s.b.Claim(s.t.Context(), lambdabiz.ClaimRequest{Worker: worker, Names: []string{s.id}, Limit: 1, Now: begun})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(claims.Runs) == 0 {
		return nil
	}
	return &claims.Runs[0].Ref
}

// finish ends the run as one of the two sees it.
func (s *scene) finish(who string, worker int64, ref *lambdabiz.RunRef) {
	s.t.Helper()
	switch v := s.commit(&lambdabiz.Commit{
		Run: ref, Worker: worker, At: begun.Add(time.Second), Started: true,
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload(fmt.Sprintf("%q", who))},
	}); {
	case v.Err == nil:
		s.accepted = append(s.accepted, who)
	case !errors.Is(v.Err, lambdabiz.ErrFenced):
		s.wrongf("the end by the %s: %v", who, v.Err)
	}
}

func (s *scene) wrongf(format string, a ...any) { s.wrong = append(s.wrong, fmt.Sprintf(format, a...)) }

// steps are what each of the three does, in its order.
func (s *scene) steps() [3][]func() {
	ctx := s.t.Context()
	return [3][]func(){
		{ // the watcher, with a snapshot that grows old
			func() {
				workers, err := s.b.Workers(ctx)
				if err != nil {
					s.t.Fatal(err)
				}
				if w := invariant.Holder(workers, s.owner); w != nil {
					s.beat, s.read = w.Beat, true
				}
			},
			func() {
				err := s.b.Leave(ctx, s.owner, s.beat)
				s.removed = err == nil
				switch {
				case err != nil && !errors.Is(err, lambdabiz.ErrStale):
					s.t.Fatal(err)
				case s.renewed && err == nil:
					s.wrongf("an owner was removed that had renewed its lease since the watcher looked")
				case !s.renewed && err != nil:
					s.wrongf("a silent owner was not removed: %v", err)
				}
			},
		},
		{ // the owner, who was silent for long and wakes up now
			func() {
				err := s.b.Renew(ctx, s.owner)
				switch s.renewed = s.read; {
				case s.removed && !errors.Is(err, lambdabiz.ErrFenced):
					s.wrongf("an owner that was removed renews its lease: %v", err)
				case !s.removed && err != nil:
					s.t.Fatal(err)
				}
			},
			func() {
				before := len(s.accepted)
				s.finish("owner", s.owner, s.mine)
				if s.removed && len(s.accepted) > before {
					s.wrongf("an owner that was removed ended the run")
				}
			},
		},
		{ // the heir, who takes what is free
			func() { s.its = s.claim(s.heir) },
			func() {
				if s.its != nil {
					s.finish("heir", s.heir, s.its)
				}
			},
		},
	}
}

// judge says what is wrong in the end.
func (s *scene) judge(store lambdabiz.Backend) string {
	s.t.Helper()
	ctx := context.Background()
	rec, err := store.Load(ctx, s.id, "")
	if err != nil {
		s.t.Fatal(err)
	}
	switch {
	case len(s.accepted) > 1:
		s.wrongf("the run ended more than once: %v", s.accepted)
	case len(s.accepted) == 1 && string(rec.Result) != fmt.Sprintf("%q", s.accepted[0]):
		s.wrongf("the %s ended the run, and its result is %s", s.accepted[0], rec.Result)
	case len(s.accepted) == 0 && rec.Status.Ended():
		s.wrongf("nobody ended the run, and it is %s", rec.Status)
	}
	return strings.Join(s.wrong, "; ")
}

// interleavings are all orders in which three actors with two steps each can take them: 90.
func interleavings() [][]int {
	var all [][]int
	var grow func(order []int, left [3]int)
	grow = func(order []int, left [3]int) {
		if len(order) == 6 {
			all = append(all, append([]int(nil), order...))
			return
		}
		for actor := range left {
			if left[actor] > 0 {
				left[actor]--
				grow(append(order, actor), left)
				left[actor]++
			}
		}
	}
	grow(nil, [3]int{2, 2, 2})
	return all
}

// snapshots plays every interleaving, each with workers and a run of its own.
func snapshots(t *testing.T, h home, over func(b lambdabiz.Backend) lambdabiz.Backend) (complaints []string, counts map[string]int) {
	t.Helper()
	counts = map[string]int{}
	store, l := h.open(t), &invariant.Ledger{}
	view := store
	if over != nil {
		view = over(view)
	}
	b := l.Watch(view)
	for i, order := range interleavings() {
		s := newScene(t, b, fmt.Sprint("scene-", i))
		steps, done := s.steps(), [3]int{}
		for _, actor := range order {
			steps[actor][done[actor]]()
			done[actor]++
		}
		counts["interleavings"]++
		if s.removed {
			counts["removed"]++
		}
		if s.its != nil {
			counts["taken over"]++
		}
		if s.renewed && !s.removed {
			counts["renewed in time"]++
		}
		if complaint := s.judge(store); complaint != "" {
			complaints = append(complaints, fmt.Sprintf("order %v: %s", order, complaint))
		}
	}
	r := &rig{t: t, store: store, ledger: l}
	if text := r.judge(invariant.Options{Now: begun}); text != "" {
		complaints = append(complaints, text)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	return complaints, counts
}

// A watcher acts on what it has read of a worker a while ago: a worker that has renewed its lease since stays, one
// that has not records nothing any more, and the run ends once, in every order of the three.
func TestStaleSnapshotOfTheWatch(t *testing.T) {
	t.Parallel()
	for _, h := range faultyHomes {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			complaints, counts := snapshots(t, h, nil)
			for _, c := range complaints {
				t.Error(c)
			}
			campaign.Report(t, "F8", []campaign.Count{
				{What: "interleavings", N: counts["interleavings"]}, {What: "removed", N: counts["removed"]},
				{What: "taken over", N: counts["taken over"]}, {What: "renewed in time", N: counts["renewed in time"]},
			})
		})
	}
}

// beatless removes workers without a look at their beat.
type beatless struct{ lambdabiz.Backend }

// Leave leaves at any beat.
func (b *beatless) Leave(ctx context.Context, worker, _ int64) error {
	return b.Backend.Leave(ctx, worker, -1)
}

// unfenced lets every holder write: it puts the latest fence into each commit.
type unfenced struct {
	lambdabiz.Backend
	latest map[string]int64 // by run id
}

// Claim notes the fence.
func (u *unfenced) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := u.Backend.Claim(ctx, r)
	for i := range claims.Runs {
		u.latest[claims.Runs[i].RunID] = claims.Runs[i].Ref.Fence
	}
	return claims, err
}

// Commit forges the fence.
func (u *unfenced) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	forged := make([]*lambdabiz.Commit, len(batch))
	for i, c := range batch {
		forged[i] = c
		if c.Run != nil && u.latest[c.Run.RunID] > c.Run.Fence {
			copied, ref := *c, *c.Run
			ref.Fence = u.latest[ref.RunID]
			copied.Run, forged[i] = &ref, &copied
		}
	}
	return u.Backend.Commit(ctx, forged)
}

func TestSabotageOfTheWatch(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(b lambdabiz.Backend) lambdabiz.Backend{
		"the beat": func(b lambdabiz.Backend) lambdabiz.Backend { return &beatless{b} },
		"the fence": func(b lambdabiz.Backend) lambdabiz.Backend {
			return &unfenced{b, map[string]int64{}}
		},
	} {
		for _, h := range []home{inMemory, onDisk} {
			t.Run(name+" "+h.name, func(t *testing.T) {
				t.Parallel()
				complaints, _ := snapshots(t, h, over)
				campaign.Red(t, "F8", name, strings.Join(complaints, "; "))
			})
		}
	}
}
