package sqlite_test

import (
	"errors"
	"fmt"
	"testing"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// strike runs the script with a fault that begins at its nth call of a kind and, with sticky, lasts until the
// call of the backend has failed. Each step that is not done is repeated when the fault is over. It returns
// what is wrong, and how often the fault struck.
func (d *disk) strike(s *script, kind trouble, n int, sticky bool, want string) (struck int, complaint string) {
	wrong := func(step scriptStep, err error, text string) string {
		return fmt.Sprintf("%s %d, sticky %t: %s: %s (error %v)", kind, n, sticky, step.name, text, err)
	}
	d.arm(kind, n, sticky)
	for _, step := range allSteps() {
		err := step.do(s)
		now := 0
		if err != nil || d.hasStruck() {
			now = d.heal()
		}
		struck += now
		if err != nil && now == 0 {
			return struck, wrong(step, err, "it failed without a fault")
		}
		if now > 0 && d.other != nil {
			if _, err := d.calmly(func() (bool, error) { return true, d.other() }); err != nil {
				return struck, wrong(step, err, "nobody else can write afterwards")
			}
		}
		unknown := errors.Is(err, lambdabiz.ErrOutcomeUnknown)
		if unknown && !sticky {
			return struck, wrong(step, err, "nobody knows the outcome, and the fault is over")
		}
		done := err == nil
		if step.done != nil {
			found, look := d.calmly(func() (bool, error) { return step.done(s) })
			if look != nil || !unknown && found != (err == nil) {
				return struck, wrong(step, err, fmt.Sprintf("done %t, %v", found, look))
			}
			if err == nil && now > 0 {
				if lost := s.lostByCrash(d, step); lost != "" {
					return struck, wrong(step, err, lost)
				}
			}
			done = found
		}
		if done {
			continue
		}
		if err := step.do(s); err != nil {
			return struck, wrong(step, err, "it fails when the fault is over")
		}
	}
	struck += d.heal()
	if got, err := s.picture(); err != nil || got != want {
		return struck, fmt.Sprintf("%s %d, sticky %t: left is\n%s\nwant\n%s (%v)", kind, n, sticky, got, want, err)
	}
	return struck, ""
}

// hasStruck reports whether the fault has come.
func (d *disk) hasStruck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.struck > 0
}

// calmly asks something while no fault comes, and none is counted down.
func (d *disk) calmly(ask func() (bool, error)) (bool, error) {
	d.mu.Lock()
	left := d.left
	d.left = 0
	d.mu.Unlock()
	answer, err := ask()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = left
	return answer, err
}

// lostByCrash says what a power loss now takes away of a step that was acknowledged.
func (s *script) lostByCrash(d *disk, step scriptStep) string {
	d.mu.Lock()
	path, err := d.image(campaign.Random(uint64(len(step.name)), len(s.prefix)), s.t.TempDir())
	d.mu.Unlock()
	if err != nil {
		return err.Error()
	}
	if err := check(path); err != nil {
		return "after a power loss: " + err.Error()
	}
	backend, err := sqlite.Open(path)
	if err != nil {
		return "after a power loss: " + err.Error()
	}
	left := &script{bundle: &bundle{Backend: backend, t: s.t, path: path, now: epoch}, prefix: s.prefix}
	done, err := step.done(left)
	if err = errors.Join(err, backend.Close()); err != nil || !done {
		return fmt.Sprintf("acknowledged, and lost by a power loss (%v)", err)
	}
	return ""
}

// most is the largest stride that meets a kind of call often enough.
var most = map[trouble]int{
	onOpen: 2, onRead: 17, onWrite: 1000, onFull: 1000, onSync: 11, onTruncate: 2, onLock: 2, onSize: 3,
}

// strides says where the loops over n begin, and how far apart the n lie: in a campaign, and they go
// through all; else through some, and through few with the race detector, under which SQLite takes thirty times
// as long. Chance moves the first.
func strides(t *testing.T, opening bool) (first, stride int) {
	t.Helper()
	switch {
	case campaign.Rounds(t, 1, 1000) > 1:
		return 1, 1
	case !underRace && opening:
		stride = 7
	case !underRace:
		stride = 3
	case opening:
		stride = 97
	default:
		stride = 41
	}
	return 1 + campaign.Random(campaign.Seed(t), 0).IntN(stride), stride
}

// strikeAll goes through all n of a kind, until the script has no nth call, every stride of them. It returns the faults
// that struck, and the first complaint.
func strikeAll(t *testing.T, d *disk, kind trouble, sticky bool, first, stride int) (struck int, complaint string) {
	t.Helper()
	b, err := d.open(t)
	if err != nil {
		t.Fatal(err)
	}
	return d.strikeOn(t, b, kind, sticky, first, stride)
}

// strikeOn is strikeAll on a backend that is open.
func (d *disk) strikeOn(t *testing.T, b *bundle, kind trouble, sticky bool, first, stride int) (struck int, complaint string) {
	t.Helper()
	want := b.whole(t, "whole-")
	for n := first; ; n += stride {
		if n > 3000 {
			t.Fatalf("%s: no end", kind)
		}
		hits, complaint := d.strike(b.newScript(fmt.Sprintf("%s-%d-%t-", kind, n, sticky)), kind, n, sticky, want)
		struck += hits
		if complaint != "" {
			return struck, complaint
		}
		if hits == 0 {
			break
		}
	}
	if err := check(b.path); err != nil {
		return struck, err.Error()
	}
	return struck, ""
}

// The nth call of a kind to the operating system fails, once or until it is fixed, for every n that the
// script of all methods comes to: each method is done and says so, or is not done and says so, and can be
// repeated; what was acknowledged survives a power loss; the end is the same as without a fault.
func TestFaultAtEveryCallOfTheDisk(t *testing.T) {
	t.Parallel()
	first, stride := strides(t, false)
	stickies := []bool{false, true}
	if underRace && stride > 1 {
		stickies = stickies[first%2:][:1]
	}
	counts := make([]campaign.Count, 0, 2*len(codes))
	results := make(chan campaign.Count, 2*len(codes))
	t.Run("all", func(t *testing.T) {
		for kind := range codes {
			if kind == onOpen || kind == onLock {
				continue // an open backend does neither: see the next test
			}
			for _, sticky := range stickies {
				t.Run(fmt.Sprintf("%s, sticky %t", kind, sticky), func(t *testing.T) {
					t.Parallel()
					struck, complaint := strikeAll(t, newDisk(t), kind, sticky, min(first, most[kind]), min(stride, most[kind]))
					if complaint != "" {
						t.Error(complaint)
					}
					results <- campaign.Count{What: fmt.Sprintf("%s sticky %t", kind, sticky), N: struck}
				})
			}
		}
	})
	close(results)
	for c := range results {
		counts = append(counts, c)
	}
	campaign.Report(t, "F23", counts)
}

// life opens what a crash has left, works on it, closes it, and opens it again. A call that fails is repeated
// once the fault is over. It returns how often the fault struck, and what is wrong.
func (d *disk) life(t *testing.T, path string, kind trouble, n int, sticky bool) (struck int, complaint string) {
	t.Helper()
	wrong := func(what string, err error) string {
		return fmt.Sprintf("%s %d, sticky %t: %s: %v", kind, n, sticky, what, err)
	}
	d.arm(kind, n, sticky)
	fixed := func(err error) bool {
		if err == nil {
			return false
		}
		now := d.heal()
		struck += now
		return now > 0
	}
	open := func() (*bundle, error) {
		backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: d.name})
		if fixed(err) {
			backend, err = sqlite.OpenConfig(t.Context(), sqlite.Config{Path: path, VFS: d.name})
		}
		return &bundle{Backend: backend, t: t, path: path, now: epoch}, err
	}
	for round := range 2 {
		b, err := open()
		if err != nil {
			return struck, wrong("open", err)
		}
		s := b.newScript(fmt.Sprintf("life-%d-", round))
		for _, step := range joined {
			if err := step.do(s); fixed(err) {
				if found, look := step.done(s); look != nil || found && !errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
					return struck, wrong(step.name, errors.Join(err, look))
				} else if found {
					continue
				}
				if err := step.do(s); err != nil {
					return struck, wrong(step.name+" again", err)
				}
			} else if err != nil {
				return struck, wrong(step.name, err)
			}
		}
		if err := b.Close(); err != nil && !fixed(err) {
			return struck, wrong("close", err)
		}
	}
	struck += d.heal()
	b, err := open()
	if err != nil {
		return struck, wrong("open at last", err)
	}
	defer b.Close()
	for _, prefix := range []string{"left-", "life-0-", "life-1-"} {
		if got, err := b.newScript(prefix).picture(); err != nil || got == "" {
			return struck, wrong("the runs "+prefix+" are lost", err)
		}
	}
	return struck, ""
}

// The same while a file is opened that a crash has left, worked on, closed with its last checkpoint, and opened again.
func TestFaultAtEveryCallOfOpenAndClose(t *testing.T) {
	t.Parallel()
	before := newDisk(t)
	b, err := before.open(t)
	if err != nil {
		t.Fatal(err)
	}
	b.whole(t, "left-")
	first, stride := strides(t, true)
	stickies := []bool{false, true}
	if underRace && stride > 1 {
		stickies = stickies[first%2:][:1]
	}
	total := map[trouble]int{}
	for kind := range codes {
		for _, sticky := range stickies {
			for n := min(first, most[kind]); ; n += min(stride, most[kind]) {
				if n > 3000 {
					t.Fatalf("%s: no end", kind)
				}
				before.mu.Lock()
				path, err := before.image(campaign.Random(uint64(n), 0), t.TempDir())
				before.mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				struck, complaint := newDisk(t).life(t, path, kind, n, sticky)
				if complaint != "" {
					t.Error(complaint)
				}
				if total[kind] += struck; struck == 0 || complaint != "" {
					break
				}
			}
		}
	}
	counts := make([]campaign.Count, 0, len(total))
	for kind, n := range total {
		counts = append(counts, campaign.Count{What: string(kind), N: n})
	}
	campaign.Report(t, "F23", counts)
}

// Without the error of a failed sync, what is acknowledged is lost by a power loss, and the checks see it.
func TestSabotageSyncErrorsUntold(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	d.quiet = true
	_, complaint := strikeAll(t, d, onSync, false, 1, 1)
	campaign.Red(t, "F23", "the error of a failed sync", complaint)
}
