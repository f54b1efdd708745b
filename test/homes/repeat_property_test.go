package homes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// piece is a part of a program that calls one task with few inputs under many ids.
type piece struct {
	Kind   string
	In     int
	Times  int
	Inside [][]piece
}

// pieces draws a part of a program.
func pieces(depth int) *rapid.Generator[[]piece] {
	return rapid.Custom(func(t *rapid.T) []piece {
		list := make([]piece, rapid.IntRange(1, 3).Draw(t, "length"))
		kinds := []string{"call", "call", "step", "loop", "sleep", "event", "raise", "child", "fails"}
		if depth > 0 {
			kinds = append(kinds, "branches", "aside", "map", "race")
		}
		for i := range list {
			p := &list[i]
			p.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
			p.In, p.Times = rapid.IntRange(1, 2).Draw(t, "input"), rapid.IntRange(1, 3).Draw(t, "times")
			if p.Kind == "branches" || p.Kind == "aside" || p.Kind == "map" || p.Kind == "race" {
				for range rapid.IntRange(1, 3).Draw(t, "branches") {
					p.Inside = append(p.Inside, pieces(depth-1).Draw(t, "branch"))
				}
			}
		}
		return list
	})
}

// program runs pieces, in the scope of o.
type program struct{ tick, fails *lambdabiz.Task[int, int] }

func (p *program) run(o lambdabiz.Context, list []piece) error {
	for i := range list {
		if err := p.piece(o, fmt.Sprintf("%s-%d", list[i].Kind, i), &list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) piece(o lambdabiz.Context, id string, x *piece) error {
	retry := lambdabiz.Retry(lambdabiz.Backoff{Attempts: x.Times, Initial: time.Second, Jitter: -1})
	var err error
	switch x.Kind {
	case "call":
		_, err = lambdabiz.Call(o, id, p.tick, x.In)
	case "fails":
		if _, fault := lambdabiz.Call(o, id, p.fails, x.In, retry); fault != nil {
			_, err = lambdabiz.Call(o, id+"-undo", p.tick, x.In)
		}
	case "step":
		_, err = step(o, id)
	case "loop":
		for j := range x.Times {
			if _, err = lambdabiz.Call(o, fmt.Sprintf("%s.%d", id, j), p.tick, x.In); err != nil {
				return err
			}
		}
	case "sleep":
		err = lambdabiz.Sleep(o, id, time.Duration(x.In)*time.Second)
	case "event":
		_, err = lambdabiz.WaitForEvent[int](o, id, lambdabiz.Named("E"), lambdabiz.Timeout(time.Duration(x.In)*time.Second))
		err = ignoreLate(err)
	case "raise":
		err = lambdabiz.RaiseEvent(o, id, o.ID(), "E", x.In)
	case "child":
		_, err = lambdabiz.CallChildByName[int](o, id, "Child", x.In)
	case "map":
		items := make([]int, len(x.Inside))
		for j := range items {
			items[j] = j
		}
		_, err = lambdabiz.Map(o, id, items, func(j int) string { return fmt.Sprint(j) },
			func(o lambdabiz.Context, j int) (int, error) { return j, p.run(o, x.Inside[j]) }, lambdabiz.Concurrency(x.Times))
	default:
		err = p.branches(o, id, x)
	}
	return err
}

// branches runs what is inside side by side: waited for, racing, or left alone until the function returns.
func (p *program) branches(o lambdabiz.Context, id string, x *piece) error {
	var all []lambdabiz.Awaitable
	var waits []func() error
	for j, inside := range x.Inside {
		f := lambdabiz.Go(o, fmt.Sprintf("%s.%d", id, j), func(o lambdabiz.Context) (int, error) { return j, p.run(o, inside) })
		all = append(all, f)
		waits = append(waits, func() error {
			_, err := f.Wait(o)
			return err
		})
	}
	switch x.Kind {
	case "race":
		first, err := lambdabiz.Race(o, id, all...)
		if err != nil {
			return err
		}
		return waits[first]()
	case "branches":
		var errs []error
		for _, wait := range waits {
			errs = append(errs, wait())
		}
		return errors.Join(errs...)
	}
	return nil
}

// cutShort is a backend whose worker dies at its nth commit, before it is stored or after.
type cutShort struct {
	lambdabiz.Backend

	mu      sync.Mutex
	commits int
	at      int // 0: it does not die
	after   bool
	dead    chan struct{}
}

func (m *cutShort) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if batch[0].Run == nil {
		return m.Backend.Commit(ctx, batch)
	}
	m.commits++
	if m.at == 0 || m.commits < m.at {
		return m.Backend.Commit(ctx, batch)
	}
	if m.commits == m.at {
		close(m.dead)
		if m.after {
			if _, err := m.Backend.Commit(ctx, batch); err != nil {
				return nil, err
			}
		}
	}
	verdicts := make([]lambdabiz.Verdict, len(batch))
	for i := range verdicts {
		verdicts[i].Err = lambdabiz.ErrFenced
	}
	return verdicts, nil
}

// live runs a program whose worker dies at its nth commit, and again until it ends. It says what is wrong, and how
// many commits the first worker made.
func live(
	t *testing.T, c memory.Config, list []piece, at int, after bool, wrap func(lambdabiz.Backend) lambdabiz.Backend,
) (commits int, complaint string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // it polls for as long as it is blocked
		defer cancel()
		store, err := memory.NewWith(c)
		if err != nil {
			t.Fatal(err)
		}
		p := &program{
			tick:  lambdabiz.NewTask("Tick", func(_ context.Context, in int) (int, error) { return in, nil }),
			fails: lambdabiz.NewTask("Fails", func(context.Context, int) (int, error) { return 0, errors.New("busy") }),
		}
		code := lambdabiz.Define("Program", func(o lambdabiz.Context, _ int) (int, error) { return 1, p.run(o, list) })
		child := lambdabiz.Define("Child", func(o lambdabiz.Context, in int) (int, error) {
			return lambdabiz.Call(o, "tick", p.tick, in)
		})
		logs := &logbook.Book{}
		engine := func(b lambdabiz.Backend) *lambdabiz.Engine {
			e, err := lambdabiz.New(b, lambdabiz.Config{PollInterval: time.Second, Logger: slog.New(slog.NewTextHandler(logs, nil))})
			if err == nil {
				err = e.Register(code, child, p.tick, p.fails)
			}
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		m := &cutShort{Backend: store, at: at, after: after, dead: make(chan struct{})}
		first := engine(m)
		fault := first.RunWhile(ctx, func(ctx context.Context) error {
			run, err := lambdabiz.Start(ctx, first, code, "p", 1)
			if err != nil {
				return err
			}
			living, end := context.WithCancel(ctx)
			defer end()
			go func() {
				select {
				case <-m.dead:
				case <-living.Done():
				}
				end()
			}()
			if _, err = run.Result(living); living.Err() != nil {
				err = nil
			}
			return err
		})
		commits = m.commits
		second := engine(wrap(store))
		fault = errors.Join(fault, second.RunWhile(ctx, func(ctx context.Context) error {
			_, err := lambdabiz.Get(second, code, "p").Result(ctx)
			return err
		}))
		s, err := second.State(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case fault != nil || s.Status != lambdabiz.StatusSucceeded || len(s.Orphans) > 0:
			complaint = fmt.Sprintf("%v: %v, orphans %q, blocked %+v", fault, s.Status, s.Orphans, s.Blocked)
		default:
			complaint = firstLine(logs.String(), "is blocked", "new operation at the place", "operations that are recorded")
		}
	})
	return commits, complaint
}

// firstLine is the first line that has one of the texts.
func firstLine(all string, texts ...string) string {
	for line := range strings.Lines(all) {
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
			return line
		}
	}
	return ""
}

// Programs that call one task with the same inputs under many ids, in loops, branches, maps and races, are never
// taken for changed ones, wherever they are resumed.
func TestCodeThatHasNotChangedIsNeverBlocked(t *testing.T) {
	t.Parallel()
	homes := []memory.Config{{}, {CommitEndsClaim: true}}
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(homes).Draw(rt, "home")
		list := pieces(2).Draw(rt, "program")
		commits, complaint := live(t, c, list, 0, false, unchanged)
		for at := 1; at <= commits && complaint == ""; at++ {
			for _, after := range []bool{false, true} {
				if _, wrong := live(t, c, list, at, after, unchanged); wrong != "" {
					complaint = fmt.Sprintf("dead at commit %d (stored: %v): %s", at, after, wrong)
				}
			}
		}
		if complaint != "" {
			rt.Fatal(complaint)
		}
	})
}

func unchanged(b lambdabiz.Backend) lambdabiz.Backend { return b }

// otherPath gives one recorded operation another path when its run is claimed.
type otherPath struct {
	lambdabiz.Backend

	path string
}

func (p otherPath) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := p.Backend.Claim(ctx, r)
	for i := range claims.Runs {
		for j := range claims.Runs[i].Operations {
			if o := &claims.Runs[i].Operations[j]; o.ID == p.path {
				o.ID += "-of-old"
			}
		}
	}
	return claims, err
}

// A record whose path is not that of the code is what a renamed id leaves.
func TestSabotageRecordedUnderAnotherId(t *testing.T) {
	t.Parallel()
	list := []piece{{Kind: "call", In: 1}, {Kind: "sleep", In: 2}, {Kind: "call", In: 2}, {Kind: "sleep", In: 1}}
	for _, path := range []string{"call-0", "call-2"} {
		complaint := ""
		for at := 1; at <= 6 && complaint == ""; at++ {
			_, complaint = live(t, memory.Config{}, list, at, true, func(b lambdabiz.Backend) lambdabiz.Backend {
				return otherPath{b, path}
			})
		}
		campaign.Red(t, "F51", "the path of "+path, complaint)
	}
}
