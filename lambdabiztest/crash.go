package lambdabiztest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// CrashOption is an option of [CrashEverywhere].
type CrashOption interface{ applyCrash(c *crashOptions) }

type crashOptions struct{ outage time.Duration }

type outageOption time.Duration

func (d outageOption) applyCrash(c *crashOptions) { c.outage = time.Duration(d) }

// Outage is how long no process is there after one has died. The default is 1 s. With hours or days it finds code that
// decides on the clock; what the orchestration itself promises by time (a time-out, a deadline) may then come out
// otherwise by right.
func Outage(d time.Duration) CrashOption { return outageOption(d) }

// Crashes is what [CrashEverywhere] did.
type Crashes struct {
	Commits int // of the run that nothing disturbed
	Cuts    int // processes that died
	Repeats int // bodies that ran a second time, because their process died before the result was recorded
}

// CrashEverywhere runs a scenario once undisturbed, and then twice for each commit that its worker made there: the process
// dies before the commit is stored, and after it is stored and before anybody has learned of it. A new process goes on
// with what is stored. Each time the outcome must be the same: status, result and error of every orchestration, and the
// operations that are recorded, with their inputs and results; only times in errors may differ. Bodies of operations may
// run again only where the death came between their beginning and their record.
//
// The scenario registers, stubs, starts, lets time pass and raises events, like the function of [Run], and ends when what
// it has started has ended. It runs many times, each in a bubble and a subtest of its own: all that it uses it
// must make anew. What is left to chance, like a new id from a step, must be stubbed. Use [Env.Effect] and
// [Env.Same] for what happens outside of orchestrations. Orchestrations that are driven by hand are not cut.
//
// A failure names the commit, and what differs. After three cuts that failed no more are tried.
func CrashEverywhere(t *testing.T, scenario func(t *testing.T, env *Env), opts ...CrashOption) Crashes {
	t.Helper()
	return crashEverywhere(t, t, site(), func(name string, f func(t *testing.T, tb testing.TB)) bool {
		return t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, t) })
		})
	}, scenario, opts)
}

// crashEverywhere runs its lives by life, each in a bubble, and complains to tb.
func crashEverywhere(
	t *testing.T, tb testing.TB, where string, life func(name string, f func(t *testing.T, tb testing.TB)) bool,
	scenario func(t *testing.T, env *Env), opts []CrashOption,
) Crashes {
	t.Helper()
	o := crashOptions{outage: time.Second}
	for _, opt := range opts {
		opt.applyCrash(&o)
	}
	var done Crashes
	undisturbed := &cut{}
	if !life("undisturbed", func(t *testing.T, tb testing.TB) { undisturbed.run(t, tb, where, scenario) }) {
		return done
	}
	done.Commits = undisturbed.commits
	if done.Commits == 0 {
		tb.Fatal("lambdabiztest: the scenario makes no commit: it starts no orchestration")
	}
	failed := 0
	for at := 1; at <= done.Commits; at++ {
		for _, after := range []bool{false, true} {
			c := &cut{at: at, after: after, outage: o.outage}
			ok := life(c.name(), func(t *testing.T, tb testing.TB) {
				c.run(t, tb, where, scenario)
				c.compare(tb, where, undisturbed)
				if c.struck == "" {
					tellf(tb, where, "nothing died: this life has %d commits, the undisturbed one had %d", c.commits, done.Commits)
				}
			})
			if !ok {
				failed++
			}
			if failed == 3 {
				tb.Fatalf("lambdabiztest: three cuts have failed, no more are tried (%d commits, %d cuts)", done.Commits, done.Cuts+1)
			}
			if c.struck != "" {
				done.Cuts++
				done.Repeats += c.repeats
			}
		}
	}
	tb.Logf("lambdabiztest: commits: %d, cuts: %d, bodies that ran again: %d", done.Commits, done.Cuts, done.Repeats)
	return done
}

// cut says when the process of an Env shall die, and keeps what came of it. While the Env lives it is guarded by
// Env.mu.
type cut struct {
	at     int // the number of the commit; 0 for never
	after  bool
	outage time.Duration

	commits int
	struck  string // the commit at which the process died
	repeats int
	outcome map[string]*outcome
	notes   notes
	faults  []string
}

func (c *cut) name() string {
	if c.after {
		return fmt.Sprintf("the_answer_to_commit_%d_is_lost", c.at)
	}
	return fmt.Sprintf("commit_%d_is_lost", c.at)
}

// run is one life of the scenario.
func (c *cut) run(t *testing.T, tb testing.TB, at string, scenario func(t *testing.T, env *Env)) {
	t.Helper()
	var env *Env
	scene(t, tb, at, c, func(t *testing.T, e *Env) {
		env = e
		scenario(t, e)
	})
	c.outcome, c.notes = env.outcome, env.notes
	c.faults, c.repeats = env.journal.repeats()
	for _, fault := range c.faults {
		complainf(tb, at, "%s%s", c.where(), fault)
	}
}

func (c *cut) where() string {
	switch {
	case c.struck == "":
		return ""
	case c.after:
		return fmt.Sprintf("the process died after commit %d (%s): ", c.at, c.struck)
	default:
		return fmt.Sprintf("the process died before commit %d (%s): ", c.at, c.struck)
	}
}

// compare complains of what differs from the run that nothing disturbed.
func (c *cut) compare(tb testing.TB, at string, undisturbed *cut) {
	for _, difference := range differences(undisturbed.outcome, c.outcome) {
		complainf(tb, at, "%s%s", c.where(), difference)
	}
	for _, difference := range c.notes.differences(&undisturbed.notes) {
		complainf(tb, at, "%s%s", c.where(), difference)
	}
}

// strikes reports whether the process dies at this batch, which is one commit, and whether it is stored before.
func (env *Env) strikes(p *process, batch []*lambdabiz.Commit) (dies, after bool) {
	env.mu.Lock()
	defer env.mu.Unlock()
	c := env.strike
	if c == nil || p != env.worker || p.dead || env.closing {
		return false, false
	}
	c.commits++
	if c.commits != c.at || c.struck != "" {
		return false, false
	}
	c.struck = describe(batch[0])
	return true, c.after
}

// die ends a process as a crash does: nothing of it reaches the store any more, and its runs are for another one.
func (env *Env) die(p *process) {
	env.mu.Lock()
	defer env.mu.Unlock()
	p.dead = true
	env.journal.died()
	revived := make(chan struct{})
	env.revived = revived
	go func() {
		defer close(revived)
		env.replace(p)
	}()
}

// replace waits until a dead process is gone, and for the outage, and begins a new one.
func (env *Env) replace(p *process) {
	env.mu.Lock()
	number := p.number
	env.mu.Unlock()
	if err := env.remove(number); err != nil { // this wakes it, too
		env.faultf("take over from the dead process: %v", err)
		return
	}
	select {
	case <-p.fenced:
	case <-p.done:
	}
	if err := p.stop(); err != nil {
		env.faultf("end the dead process: %v", err)
		return
	}
	time.Sleep(env.strike.outage)
	next, err := env.newProcess()
	if err == nil {
		err = next.begin()
	}
	if err != nil {
		env.faultf("begin a new process: %v", err)
	}
}

// describe is a commit in a few words.
func describe(c *lambdabiz.Commit) string {
	if c.Run == nil {
		return "of no run"
	}
	parts := []string{}
	for i := range c.Operations {
		parts = append(parts, fmt.Sprintf("%s %s", c.Operations[i].ID, c.Operations[i].Status))
	}
	for i := range c.Starts {
		parts = append(parts, "start of "+c.Starts[i].ID)
	}
	switch {
	case c.Close != nil && c.Close.Next != nil:
		parts = append(parts, "continue as new")
	case c.Close != nil:
		parts = append(parts, "end "+c.Close.Status.String())
	case c.Release != nil:
		parts = append(parts, "release")
	}
	if len(parts) == 0 {
		parts = []string{"no operation"}
	}
	return c.Run.ID + ": " + strings.Join(parts, ", ")
}

// repeats counts the bodies that ran again, and says which had no right to.
func (j *journal) repeats() (faults []string, repeats int) {
	faults = slices.Clone(j.faults)
	for _, o := range j.list {
		if hasBody(o.kind) && o.recorded && o.status == lambdabiz.StatusSucceeded && len(o.bodies) == 0 {
			faults = append(faults, fmt.Sprintf("operation %q of orchestration %s has succeeded, and its body never ran",
				o.path, o.orchestration))
		}
		for attempt, n := range o.bodies {
			if n > 1 {
				repeats += n - 1
			}
			if most := 1 + boolInt(o.loose[attempt]); n > most {
				faults = append(faults, fmt.Sprintf("attempt %d of operation %q of orchestration %s ran %s, %d at most were right",
					attempt, o.path, o.orchestration, times(n), most))
			}
		}
	}
	return faults, repeats
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// notes is what a scenario notes of the world outside of orchestrations. It is guarded by Env.mu.
type notes struct {
	effects map[string]int // outside of operations, by name
	same    map[string]string
}

// Effect notes that something has happened to the world outside, like a mail that was sent: fakes call it, with the
// context that they are given. In the body of an operation an effect belongs to the operation, which may run again when
// its process dies. Elsewhere, with the context of the orchestration or any other, it must happen as often as without
// a crash: [CrashEverywhere] finds an effect between operations, which each resume repeats.
func (env *Env) Effect(ctx context.Context, name string) {
	if _, inside := lambdabiz.TaskInfoFrom(ctx); inside {
		return
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	env.notes.effects[name]++
}

// Same notes a value that must be the same wherever [CrashEverywhere] lets the process die: a balance that a fake keeps,
// the number of parcels. It is compared as fmt prints it with %+v. The last value of a name counts.
func (env *Env) Same(name string, value any) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.notes.same[name] = fmt.Sprintf("%+v", value)
}

// differences compares with the notes of the run that nothing disturbed.
func (n *notes) differences(want *notes) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(union(n.effects, want.effects))) {
		if got, want := n.effects[name], want.effects[name]; got != want {
			list = append(list, fmt.Sprintf("effect %q, outside of operations, happened %s, undisturbed %s", name, times(got), times(want)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(union(n.same, want.same))) {
		if got, want := n.same[name], want.same[name]; got != want {
			list = append(list, fmt.Sprintf("%s is %s, undisturbed %s", name, got, want))
		}
	}
	return list
}

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

// remove removes a worker that has died, as others do.
func (env *Env) remove(number int64) error {
	ctx := context.Background()
	workers, err := env.backend.Workers(ctx)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what for
	}
	for _, w := range workers {
		if w.Number == number {
			return env.backend.Leave(ctx, number, w.Beat) //nolint:wrapcheck // the same
		}
	}
	return nil
}
