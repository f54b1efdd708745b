package lambdabiz

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// askers are those who ask what is to be done, by name.
var askers = map[string]func(s standing) step{
	"idle":   standing.idle,
	"flush":  func(s standing) step { return s.flush(s.target) },
	"finish": standing.finish,
	"park":   standing.park,
	"nudged": standing.nudged,
	"body":   func(s standing) step { return s.bodyEnded(1) },
	"last":   func(s standing) step { return s.bodyEnded(0) },
}

func TestStepsOfAStanding(t *testing.T) {
	t.Parallel()
	type change func(s *standing)
	pending, committing := func(s *standing) { s.pending = true }, func(s *standing) { s.committing = true }
	unclaimed, perCommit := func(s *standing) { s.claimed = false }, func(s *standing) { s.perCommit = true }
	closing, stopping := func(s *standing) { s.closing = true }, func(s *standing) { s.phase = phaseStopping }
	dead, timeouts := func(s *standing) { s.phase = phaseDead }, func(s *standing) { s.timeouts = true }
	byHand, durable := func(s *standing) { s.hand = true }, func(s *standing) { s.durable = 1 }
	active := func(n, flushers int) change {
		return func(s *standing) {
			if s.active, s.flushers = n, flushers; flushers > 0 {
				s.target = 1
			}
		}
	}
	for name, c := range map[string]struct {
		changes []change
		asker   string
		want    step
	}{
		"all code waits, and nothing is pending":     {nil, "idle", stepRest},
		"all code waits, and something is pending":   {[]change{pending}, "idle", stepCommit},
		"a branch is active yet":                     {[]change{pending, active(1, 0)}, "idle", stepNone},
		"a commit is on its way":                     {[]change{pending, committing}, "idle", stepNone},
		"the claim has ended":                        {[]change{pending, unclaimed}, "idle", stepRest},
		"a commit ends the claim, which is answered": {[]change{perCommit}, "idle", stepFire},
		"all that is active flushes":                 {[]change{active(2, 2)}, "idle", stepNone},
		"the same where a commit ends the claim":     {[]change{perCommit, active(2, 2)}, "idle", stepFire},
		"what the flushers wait for is durable":      {[]change{perCommit, active(1, 1), durable}, "idle", stepNone},
		"a flusher commits":                          {[]change{active(2, 1)}, "flush", stepCommit},
		"a flusher waits for a commit":               {[]change{active(2, 1), committing}, "flush", stepWait},
		"a flusher waits for the claim":              {[]change{active(1, 1), unclaimed}, "flush", stepWait},
		"a flusher waits for the others":             {[]change{perCommit, active(2, 1)}, "flush", stepWait},
		"a flusher goes on":                          {[]change{active(1, 1), durable}, "flush", stepNone},
		"a flusher of a run that stops":              {[]change{stopping, active(1, 1)}, "flush", stepNone},
		"a closing run commits":                      {[]change{closing}, "finish", stepCommit},
		"a closing run waits for a claim":            {[]change{closing, unclaimed}, "finish", stepWait},
		"a stopping run without a claim":             {[]change{stopping, unclaimed}, "finish", stepEvict},
		"a dead run":                                 {[]change{dead}, "finish", stepNone},
		"an idle run is parked":                      {nil, "park", stepPark},
		"an idle copy is dropped":                    {[]change{unclaimed}, "park", stepEvict},
		"one with time-outs is not parked":           {[]change{timeouts}, "park", stepCommit},
		"one driven by hand is not parked":           {[]change{byHand}, "park", stepNone},
		"a change that nobody commits":               {nil, "nudged", stepCommit},
		"a change that a branch commits":             {[]change{active(1, 0)}, "nudged", stepNone},
		"the last body of a stopping run":            {[]change{stopping}, "last", stepFinish},
		"another body of a stopping run":             {[]change{stopping}, "body", stepCommit},
		"a body of a run that goes on":               {nil, "last", stepNone},
	} {
		s := standing{claimed: true}
		for _, change := range c.changes {
			change(&s)
		}
		if got := askers[c.asker](s); got != c.want {
			t.Errorf("%s: %s does %d, want %d", name, c.asker, got, c.want)
		}
	}
}

// everyStanding calls f for all that there are, with up to three branches.
func everyStanding(f func(s standing)) {
	flags := 1 << 7
	for bits := range flags {
		is := func(n int) bool { return bits>>n&1 == 1 }
		for _, p := range []phase{phaseLive, phaseStopping, phaseDead} {
			for active := range 4 {
				for flushers := range active + 1 {
					for durable := range uint64(3) {
						for target := range uint64(3) {
							f(standing{
								phase: p, closing: is(0), claimed: is(1), committing: is(2), perCommit: is(3), hand: is(4),
								pending: is(5), timeouts: is(6), active: active, flushers: flushers, durable: durable, target: target,
							})
						}
					}
				}
			}
		}
	}
}

// What holds in every standing, whoever asks.
func TestNoStandingLosesOrDoublesACommit(t *testing.T) {
	t.Parallel()
	n := 0
	everyStanding(func(s standing) {
		n++
		ends := s.closing || s.phase == phaseStopping
		for name, ask := range askers {
			if name == "finish" && !ends {
				continue // nobody asks that
			}
			if !mayDo(s, ask(s)) {
				t.Errorf("%s does %d in %+v", name, ask(s), s)
			}
		}
		if why := lost(s); why != "" {
			t.Errorf("%s in %+v", why, s)
		}
	})
	if n < 3*128*10 {
		t.Errorf("%d standings were tried", n)
	}
}

// mayDo reports whether a step does no harm in a standing.
func mayDo(s standing, do step) bool {
	waits := s.phase == phaseLive && s.perCommit && s.active != s.flushers // a commit now would end the claim under its code
	switch do {
	case stepCommit, stepFire, stepPark:
		return s.phase != phaseDead && s.claimed && !s.committing &&
			(do != stepPark || s.active == 0 && !s.timeouts && !s.hand && s.live()) && (!waits || s.closing)
	case stepRest:
		return s.live() && s.active == 0 && !s.committing && (!s.claimed || !s.pending && !s.perCommit)
	case stepEvict:
		return s.phase != phaseDead && !s.claimed && !s.committing
	case stepFinish:
		return s.phase == phaseStopping
	case stepWait:
		return s.phase != phaseDead && (s.committing || !s.claimed || waits)
	default:
		return true
	}
}

// lost says what nobody would ever do.
func lost(s standing) string {
	free := s.live() && s.claimed && !s.committing
	flushes := s.flushers > 0 && s.durable < s.target
	switch {
	case free && s.active == 0 && (s.pending || s.perCommit) && s.idle() != stepCommit && s.idle() != stepFire:
		return "nobody commits what is pending"
	case free && s.active == s.flushers && flushes && s.flush(s.target) != stepCommit:
		return "nobody commits what flushers wait for"
	case free && s.active == s.flushers && flushes && s.perCommit && s.idle() != stepFire:
		return "the last branch that blocks does not commit for the flushers"
	case s.live() && s.active == 0 && !s.committing && s.idle() == stepNone:
		return "nobody arms the alarm"
	case s.phase == phaseLive && s.flush(s.target) == stepNone && (s.durable < s.target || !s.claimed):
		return "a branch goes on before what it waits for is durable"
	case s.phase != phaseDead && s.finish() == stepNone:
		return "nobody ends the run"
	}
	return ""
}

// The picture of the states in the docs has those that there are.
func TestStatesAreInTheDocs(t *testing.T) {
	t.Parallel()
	states := map[string]bool{}
	everyStanding(func(s standing) { states[s.state()] = true })
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, picture, _ := strings.Cut(string(text), "stateDiagram-v2\n")
	picture, _, _ = strings.Cut(picture, "```")
	drawn := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^  (\w+) -->|--> (\w+)`).FindAllStringSubmatch(picture, -1) {
		drawn[name[1]+name[2]] = true
	}
	names := func(m map[string]bool) string {
		var all []string
		for name := range m {
			all = append(all, name)
		}
		return strings.Join(slices.Sorted(slices.Values(all)), " ")
	}
	if names(states) != names(drawn) {
		t.Errorf("the docs have the states %s, there are %s", names(drawn), names(states))
	}
}

// A file that the docs send a reader to is there.
func TestFilesInTheDocsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("`([a-z_]+\\.go|internal/[a-z]+)`").FindAllStringSubmatch(string(text), -1)
	for _, file := range files {
		if _, err := os.Stat(file[1]); err != nil {
			t.Errorf("docs/architecture.md: %v", err)
		}
	}
	if len(files) < 30 {
		t.Errorf("it names %d files", len(files))
	}
}
