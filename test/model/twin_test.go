package model_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// mutation takes a protection out of the engine: in a copy of its source, of which a test program is built. The engine
// itself has no switch for it.
type mutation struct {
	protection string
	is         string // in the source of the root package, once
	becomes    string // gone says whether the protection is gone
}

var mutations = []mutation{
	{"what a stale commit had is put back",
		"\t\tp.putBack(t)\n",
		"\t\tif !gone { p.putBack(t) }\n"},
	{"an alarm that rings during a commit is heard after it",
		"\tp.alarm = time.Time{}\n",
		"\tif !gone || !p.committing { p.alarm = time.Time{} }\n"},
	{"a claim wakes who waits to commit",
		"\tp.moved.Broadcast()\n\tif p.phase",
		"\tif !gone { p.moved.Broadcast() }\n\tif p.phase"},
	{"a body waits until what its code was given is durable",
		"for p.isLive(s) && p.passLocked() && p.lastsLocked(lasts) {\n\t\tif p.barrier.isOpen(p.durable, p.claimed) {",
		"for p.isLive(s) && (gone || p.passLocked() && p.lastsLocked(lasts)) {\n\t\tif gone || p.barrier.isOpen(p.durable, p.claimed) {"},
	{"a time-out is refused when an event has come",
		"\t\t\tout.Conditional = true\n",
		"\t\t\tout.Conditional = !gone\n"},
	{"a run that stops records no time-out",
		"return live && o.timingOut",
		"return (live || gone) && o.timingOut"},
	{"what comes during a commit is kept until it is over",
		"\t\tp.arrived = append(p.arrived, messages...)\n",
		"\t\tif !gone { p.arrived = append(p.arrived, messages...) }\n"},
	{"a parked run wakes when something is due",
		"&Release{WakeAt: p.dueNext(), Version: p.env.version}",
		"&Release{WakeAt: map[bool]time.Time{false: p.dueNext()}[gone], Version: p.env.version}"},
	{"a commit asks for the next claim when somebody waits for it",
		"\t\tc.Keep = !p.renew\n",
		"\t\tc.Keep = !p.renew\n\t\tc.Again = c.Again && !gone\n"},
	{"a time-out that is recorded stays when its commit comes again",
		"\t\tcommit.Conditional, commit.Fetch = false, true\n",
		"\t\tif !gone { commit.Conditional, commit.Fetch = false, true }\n"},
	{"a message is taken in once",
		"if m.Number <= p.seen {",
		"if m.Number <= p.seen && !gone {"},
	{"a run is not parked during a commit",
		"case !s.live() || s.active != 0 || s.committing || s.hand:",
		"case !s.live() || s.active != 0 || s.committing && !gone || s.hand:"},
	{"what is late is not flushed during a commit",
		"\tcase p.committing:\n\t\tp.flushes = time.Time{}",
		"\tcase p.committing && !gone:\n\t\tp.flushes = time.Time{}"},
	{"changes that nobody commits are flushed",
		"\tif !p.since.Equal(p.flushes) {\n",
		"\tif !p.since.Equal(p.flushes) && !gone {\n"},
}

// comeAtOnce lets goroutines that the engine starts begin late: that is no protection, for they may, but it opens what
// is too narrow to be met by chance.
const comeAtOnce = "goroutines come at once"

var delays = []mutation{
	{comeAtOnce,
		"\t\tgo func() {\n\t\t\tp.mu.Lock()\n\t\t\tdefer p.unlock()\n\t\t\tp.idleLocked()\n\t\t}()\n",
		"\t\tgo func() {\n\t\t\tlateIf(gone)\n\t\t\tp.mu.Lock()\n\t\t\tdefer p.unlock()\n\t\t\tp.idleLocked()\n\t\t}()\n"},
	{comeAtOnce,
		"go func() { // the news has woken no branch, and the claim must be answered all the same\n",
		"go func() {\n\t\t\tlateIf(gone)\n"},
	{comeAtOnce,
		"\t\tgo func() {\n\t\t\tp.mu.Lock()\n\t\t\tdefer p.unlock()\n\t\t\tp.finishLocked()\n",
		"\t\tgo func() {\n\t\t\tlateIf(gone)\n\t\t\tp.mu.Lock()\n\t\t\tdefer p.unlock()\n\t\t\tp.finishLocked()\n"},
	{comeAtOnce,
		"\t\tgo take()\n",
		"\t\tgo func() { lateIf(gone); take() }()\n"},
}

// narrow are the mutations that are red only when goroutines begin late.
var narrow = []mutation{
	{"a run with a time-out to commit is not parked",
		"\tcase s.timeouts:\n",
		"\tcase s.timeouts && !gone:\n"},
}

// transactions are protections of steps in transactions of the home's, each with the test that is red without it.
var transactions = []struct {
	mutation
	test string
}{
	{mutation{"a body that is being recorded is not left",
		"if w.leave != nil && !w.leave() {",
		"if w.leave != nil && !gone && !w.leave() {"},
		"TestATransactionThatEndsIsNotTimedOut"},
	{mutation{"an attempt that is over commits nothing",
		"return !a.over && a.r.phase != phaseDead",
		"return gone || !a.over && a.r.phase != phaseDead"},
		"TestALateBodyCommitsNothing"},
	{mutation{"an unknown outcome is asked for",
		"if !errors.Is(err, ErrOutcomeUnknown) {\n\t\t\treturn err",
		"if gone || !errors.Is(err, ErrOutcomeUnknown) {\n\t\t\treturn err"},
		"TestAnUnknownOutcomeIsLookedAt"},
	{mutation{"a transaction waits for the commit that is on its way",
		"for r.committing && a.isWantedLocked() {",
		"for !gone && r.committing && a.isWantedLocked() {"},
		"TestNothingOvertakesATransaction"},
	{mutation{"the begin of a step is recorded before its transaction",
		"begun := c.body.transacts() && !r.env.desc.OneWriter",
		"begun := !gone && c.body.transacts() && !r.env.desc.OneWriter"},
		"TestATransactionBeginsWithARecordedStep"},
	{mutation{"a body that holds the store is told so",
		"ok && a.holdsStore(&e.env) {",
		"ok && !gone && a.holdsStore(&e.env) {"},
		"TestABodyThatHoldsTheStoreIsToldSo"},
}

// claims are protections of what a worker has no room for: without each TestWhatFoundNoRoomIsClaimedWhenThereIsSome is red.
var claims = []mutation{
	{"a worker is told when there is room",
		"\t\tm.short = shortOfNothing\n\t\tm.kick()\n",
		"\t\tm.short = shortOfNothing\n\t\tif !gone { m.kick() }\n"},
	{"room that came free while the answer to a claim was on its way is seen",
		"\treturn more && room\n",
		"\treturn more && room && !gone\n"},
	{"what only waits makes room",
		"busy := p.active > 0 && p.phase != phaseDead",
		"busy := (p.active > 0 || gone) && p.phase != phaseDead"},
	{"a worker claims no more than there is room for",
		"min(m.most-len(m.runs), m.works-m.active)",
		"min(m.most-len(m.runs), map[bool]int{false: m.works - m.active, true: m.most}[gone])"},
}

// sizes are protections of homes that write little at once: without each TestACommitIsNoLargerThanTheHomeTakes is red.
var sizes = []mutation{
	{"code that adds to a large commit waits for it",
		"if items >= most/2 {",
		"if items >= most/2 && !gone {"},
}

// goneVariable names the protections that are gone in the program that is built of the copy.
const goneVariable = "LAMBDABIZ_MODEL_WITHOUT"

// goneSource stands beside the copy.
const goneSource = `package lambdabiz

import (
	"os"
	"slices"
	"strings"
	"time"
)

var gone = strings.Split(os.Getenv("` + goneVariable + `"), ";")

// isGone reports whether a protection is taken out.
func isGone(protection string) bool { return slices.Contains(gone, protection) }

// lateIf lets a goroutine begin when time goes on.
func lateIf(late bool) {
	if late {
		<-time.After(time.Millisecond)
	}
}
`

func TestSabotageTheEngine(t *testing.T) {
	t.Parallel()
	program := buildMutated(t)
	for name, trace := range tracesOf(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F53", trace.without, complaintOf(t, program, trace.without, "^TestTracesHold$/^"+name+"$"))
		})
	}
	t.Run("nothing is gone, and goroutines begin late", func(t *testing.T) {
		t.Parallel()
		if complaint := complaintOf(t, program, comeAtOnce, "^TestEveryScheduleOfStimuli$"); complaint != "" {
			t.Error(complaint)
		}
	})
	for _, m := range transactions {
		t.Run(m.protection, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F53", m.protection, complaintOf(t, program, m.protection, "^"+m.test+"$"))
		})
	}
	for _, m := range claims {
		t.Run(m.protection, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F53", m.protection,
				complaintOf(t, program, m.protection, "^TestWhatFoundNoRoomIsClaimedWhenThereIsSome$"))
		})
	}
	for _, m := range sizes {
		t.Run(m.protection, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F53", m.protection,
				complaintOf(t, program, m.protection, "^TestACommitIsNoLargerThanTheHomeTakes$"))
		})
	}
	for _, m := range narrow {
		t.Run(m.protection, func(t *testing.T) {
			t.Parallel()
			gone := comeAtOnce + ";" + m.protection
			campaign.Red(t, "F53", m.protection, complaintOf(t, program, gone, "^TestEveryScheduleOfStimuli$"))
		})
	}
	for _, m := range mutations {
		t.Run(m.protection, func(t *testing.T) {
			t.Parallel()
			campaign.Red(t, "F53", m.protection, complaintOf(t, program, m.protection, "^TestEveryScheduleOfStimuli$"))
		})
	}
}

// complaintOf runs tests of the program without a protection, and returns what they complain of.
func complaintOf(t *testing.T, program, protection, tests string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.run", tests)
	cmd.Env = append(os.Environ(), goneVariable+"="+protection)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		if _, complaint, found := strings.Cut(line, brokenWord); found {
			return strings.TrimSpace(complaint)
		}
	}
	return "it ended: " + string(out)
}

// buildMutated builds this test with all mutations in it, each behind a variable of the environment.
func buildMutated(t *testing.T) (program string) {
	t.Helper()
	root, dir := filepath.Join("..", ".."), t.TempDir()
	paths, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	sources, mutated := map[string]string{}, map[string]bool{}
	for _, path := range paths {
		if text, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(path, "_test.go") {
			sources[path] = string(text)
		}
	}
	all := slices.Concat(mutations, delays, narrow, claims, sizes)
	for _, m := range transactions {
		all = append(all, m.mutation)
	}
	for _, m := range all {
		found := 0
		for path, text := range sources {
			if n := strings.Count(text, m.is); n > 0 {
				found += n
				becomes := strings.ReplaceAll(m.becomes, "gone", fmt.Sprintf("isGone(%q)", m.protection))
				sources[path], mutated[path] = strings.Replace(text, m.is, becomes, 1), true
			}
		}
		if found != 1 {
			t.Fatalf("%s: the source has %d times what the mutation replaces; adapt it:\n%s", m.protection, found, m.is)
		}
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	put := func(path, text string) {
		at, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		overlay.Replace[at] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(overlay.Replace[at], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path := range mutated {
		put(path, sources[path])
	}
	put(filepath.Join(root, "gone.go"), goneSource)
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "model.test")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "test", "-c", "-overlay", file, "-o", program, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the mutated engine: %v\n%s", err, out)
	}
	return program
}
