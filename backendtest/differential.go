package backendtest

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lambdabiz/lambdabiz"
)

// Differential does the same random operations on a simple model and on every backend, and fails where
// an answer differs. Few ids are used, so that operations collide. A failure is shrunk, and prints the
// seed and the command that repeats it; -rapid.checks sets how many scripts are tried (100).
//
// It fails too when some kind of operation never happened in the whole run, for then it would prove
// nothing. The backends must agree in Describe().CommitEndsClaim, perform no operations themselves,
// refuse no feature and tell known keys.
func Differential(t *testing.T, opens map[string]func(t *testing.T) lambdabiz.Backend) {
	t.Helper()
	backends := map[string]lambdabiz.Backend{}
	for name, open := range opens {
		backends[name] = open(t)
	}
	endsClaim, err := alike(backends)
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		if err := differ(uniform(rt), backends, endsClaim, covered); err != nil {
			rt.Fatal(err)
		}
	})
	if missing := uncovered(covered, endsClaim); len(missing) > 0 && !t.Failed() {
		t.Errorf("these never happened, so nothing is known of them: %q\nwhat happened: %v", missing, covered)
	}
}

// uniform draws each number bit by bit: rapid's own ranges prefer small numbers so much that some
// actions would hardly ever happen.
func uniform(rt *rapid.T) draws {
	bit := rapid.Bool()
	return func(n int, what string) int {
		if n <= 1 {
			return 0
		}
		return rapid.Custom(func(rt *rapid.T) int {
			value := 0
			for range bits.Len(uint(n - 1)) {
				value *= 2
				if bit.Draw(rt, what) {
					value++
				}
			}
			return value % n
		}).Draw(rt, what)
	}
}

// alike returns whether commits end claims in all of the backends.
func alike(backends map[string]lambdabiz.Backend) (endsClaim bool, err error) {
	kinds := map[bool]bool{}
	for name, b := range backends {
		d := b.Describe()
		if len(d.Refuses) > 0 || len(d.Performs) > 0 || d.UntoldKeys {
			return false, fmt.Errorf("%s refuses features, performs operations or tells no keys, and cannot be compared", name)
		}
		kinds[d.CommitEndsClaim] = true
		endsClaim = d.CommitEndsClaim
	}
	if len(kinds) != 1 {
		return false, fmt.Errorf("%d backends, of which some end claims with commits and some do not", len(backends))
	}
	return endsClaim, nil
}

// scripts counts, so that each one has ids of its own in the backends that all of them share.
var scripts atomic.Int64

// differ runs one script and returns the first difference.
func differ(draw draws, backends map[string]lambdabiz.Backend, endsClaim bool, covered map[string]int) error {
	m := &model{endsClaim: endsClaim}
	sides := []*side{newSide("model", m, covered)}
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		sides = append(sides, newSide(name, backends[name], map[string]int{}))
	}
	s := &script{
		draw: draw, model: m, side: sides[0], now: epoch, prefix: fmt.Sprintf("d%d-", scripts.Add(1)),
	}
	defer func() {
		for _, side := range sides {
			for _, n := range side.numbers {
				_ = side.b.Leave(background, n, -1) // tidies only: the comparison is over
			}
		}
	}()
	var history []string
	try := func(a action) error {
		answer, err := agree(a, sides)
		if err != nil {
			// Without the prefix a script that is done again fails in the same words, or rapid would
			// take it for another failure and not shrink it.
			whole := strings.Join(history, "\n") + "\n" + err.Error()
			return errors.New(strings.ReplaceAll(whole, s.prefix, ""))
		}
		history = append(history, a.String()+"\n    -> "+answer)
		return nil
	}
	for slot := range scriptSlots {
		if err := try(workerAction{slot, "join", s.names(), "v1"}); err != nil {
			return err
		}
	}
	for range 1 + draw(80, "steps") {
		if err := try(s.next()); err != nil {
			return err
		}
	}
	for _, a := range s.settle() {
		if err := try(a); err != nil {
			return err
		}
	}
	return nil
}

// settle asks for all that is left: what is due now and at last, and every run.
func (s *script) settle() []action {
	last := []action{
		claimAction{0, s.names(), 100, s.now},
		workerAction{scriptSlots, "join", nil, "v1"},
		claimAction{scriptSlots, s.names(), 100, s.now},
		claimAction{scriptSlots, s.names(), 100, s.now.Add(time.Hour)},
		listAction{lambdabiz.Filter{IDPrefix: s.prefix, AllRuns: true, Limit: 3}},
		listAction{lambdabiz.Filter{IDPrefix: s.prefix}},
	}
	for _, r := range s.model.runs {
		last = append(last, loadAction{r.ID, r.RunID})
	}
	for _, id := range s.ids() {
		last = append(last, loadAction{id, ""})
	}
	return last
}

// agree does the action on every side and compares the answers with the model's, which it returns.
func agree(a action, sides []*side) (string, error) {
	wanted := a.do(sides[0])
	for _, side := range sides[1:] {
		if got := a.do(side); got != wanted {
			return "", fmt.Errorf("%v\n%s answers:\n  %s\nthe model answers:\n  %s", a, side.name, got, wanted)
		}
	}
	return wanted, nil
}

// uncovered returns what did not happen of all that a run has to try.
func uncovered(covered map[string]int, endsClaim bool) []string {
	all := []string{
		"commit ok", "commit ErrFenced", "commit ErrStale", "consumed", "fetched", "released", "blocked",
		"closed", "continued", "arrived", "claimed", "claimed with messages", "claimed while blocked",
		"claim ErrFenced", "start ok created=true", "start ok created=false", "start ErrExists created=false",
		"raise ok added", "raise ok repeated", "raise ErrNotFound", "raise ErrClosed", "hand ok", "hand ErrNotFound", "hand ErrMode",
		"worker renew", "worker stale", "worker leave", "worker join", "load ok", "load ErrNotFound", "listed",
		"purge ok", "purge ErrOpen",
	}
	for kind := lambdabiz.ControlCancel; kind <= lambdabiz.ControlResume; kind++ {
		for _, err := range []string{"ok", "ErrClosed", "ErrNotFound"} {
			all = append(all, fmt.Sprintf("control %d %s", kind, err))
		}
	}
	if !endsClaim {
		all = append(all, "start claimed", "start claimed with kept events")
	}
	return slices.DeleteFunc(all, func(what string) bool { return covered[what] > 0 })
}
