package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// outages is how many rounds a test of power losses goes.
func outages(t *testing.T) int {
	t.Helper()
	if underRace {
		return campaign.Rounds(t, 12, 3_000)
	}
	return campaign.Rounds(t, 60, 3_000)
}

// outage is a moment at which the power failed.
type outage struct {
	path  string
	acked int // steps that were acknowledged before
}

// cutPower runs the script while the power fails at random calls of it, and says what is wrong with what each
// of them has left: a whole file, with the steps that were acknowledged, and at most the one on its way.
func cutPower(t *testing.T, liar bool, seed uint64, rounds int) (torn int, complaint string) {
	t.Helper()
	d := newDisk(t)
	d.liar = liar
	b, err := d.open(t)
	if err != nil {
		t.Fatal(err)
	}
	history := []string{""}
	var losses []outage
	s := b.newScript("cut-")
	random := campaign.Random(seed, 0)
	steps := allSteps()
	for i, step := range steps {
		for range (rounds*(i+1)/len(steps) - rounds*i/len(steps)) - 1 {
			losses = append(losses, d.loss(t, random, i)) // between two steps
		}
		d.cutPowerAt(1+random.IntN(12), func() { losses = append(losses, d.lossLocked(t, random, i)) })
		if err := step.do(s); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		picture, err := s.picture()
		if err != nil {
			t.Fatal(err)
		}
		history = append(history, picture)
	}
	d.cutPowerAt(0, nil)
	for i, loss := range losses {
		if err := loss.check(t, history, steps); err != nil {
			return i, fmt.Sprintf("power loss %d, after %d steps: %v", i, loss.acked, err)
		}
	}
	return len(losses), ""
}

// loss takes an image of what a power loss would leave now.
func (d *disk) loss(t *testing.T, random *rand.Rand, acked int) outage {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lossLocked(t, random, acked)
}

func (d *disk) lossLocked(t *testing.T, random *rand.Rand, acked int) outage {
	t.Helper()
	path, err := d.image(random, t.TempDir())
	if err != nil {
		t.Error(err)
	}
	return outage{path, acked}
}

// check opens what was left, and goes on with the script to its end.
func (o outage) check(t *testing.T, history []string, steps []scriptStep) error {
	t.Helper()
	defer os.RemoveAll(filepath.Dir(o.path))
	if err := check(o.path); err != nil {
		return err
	}
	backend, err := sqlite.Open(o.path)
	if err != nil {
		return err
	}
	defer backend.Close()
	s := &script{bundle: &bundle{Backend: backend, t: t, path: o.path, now: epoch}, prefix: "cut-"}
	picture, err := s.picture()
	if err != nil {
		return err
	}
	if after := slices.Index(history[o.acked:], picture); after < 0 || after > 1 {
		return fmt.Errorf("it is no state of the acknowledged history: %.200s", picture)
	}
	if known, err := s.registered(0); err != nil || !known && o.acked > 0 && o.acked < len(steps)-1 {
		return fmt.Errorf("the worker is not registered: %w", err)
	}
	for _, step := range steps[o.acked:] {
		if step.done != nil {
			if done, err := step.done(s); err != nil || done {
				if err != nil {
					return fmt.Errorf("%s: %w", step.name, err)
				}
				continue
			}
		}
		if err := step.do(s); err != nil {
			return fmt.Errorf("%s after it: %w", step.name, err)
		}
	}
	picture, err = s.picture()
	if err == nil && picture != history[len(history)-1] {
		err = fmt.Errorf("the script ended with\n%s\nwant\n%s", picture, history[len(history)-1])
	}
	return err
}

// The power fails at a random call of the disk: what was not synced is lost, torn or there, as chance has it.
// The file is whole, all that was acknowledged is in it, and work goes on from there to the same end.
func TestPowerLossAtAnyCall(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	losses := 0
	for left, round := outages(t), uint64(0); left > 0; round++ {
		n, complaint := cutPower(t, false, seed+round, min(left, 500))
		if complaint != "" {
			t.Fatal(complaint)
		}
		losses, left = losses+n, left-max(n, 1)
	}
	campaign.Report(t, "F24", []campaign.Count{{What: "power losses", N: losses}})
}

// Without true syncs what was acknowledged is lost with the power.
func TestSabotageSyncThatDoesNothing(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	campaign.Red(t, "F24", "the sync of the disk", campaign.UntilRed(func(round int) string {
		_, complaint := cutPower(t, true, seed+uint64(round), 6)
		return complaint
	}))
}

// recordOrders lets orders run one after the other, and copies the files while they are open.
func recordOrders(t *testing.T, dir string, orders int) (file, log []byte) {
	t.Helper()
	path := filepath.Join(dir, "test.db")
	synctest.Test(t, func(t *testing.T) {
		backend, err := sqlite.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := newShop(t, backend, 0)
		err = s.engine.RunWhile(t.Context(), func(ctx context.Context) error {
			for n := range orders {
				if err := s.start(ctx, n+1); err != nil {
					return err
				}
				if _, err := lambdabiz.Get(s.engine, s.order, orderID(n+1)).Result(ctx); err != nil {
					return err
				}
			}
			var errs [2]error
			file, errs[0] = os.ReadFile(path)
			log, errs[1] = os.ReadFile(path + "-wal")
			return errors.Join(errs[:]...)
		})
		if err = errors.Join(err, backend.Close()); err != nil {
			t.Fatal(err)
		}
	})
	return file, log
}

// spoil cuts the log at a random byte, or changes one.
func spoil(random *rand.Rand, log []byte) ([]byte, string) {
	at := random.IntN(len(log))
	log = slices.Clone(log)
	if random.IntN(2) == 0 {
		return log[:at], fmt.Sprintf("cut at %d", at)
	}
	log[at] ^= byte(1 + random.IntN(255))
	return log, fmt.Sprintf("garbled at %d", at)
}

// resumeSpoiled opens the files with a spoilt log, checks that they hold a prefix of what happened, and lets an
// engine bring all orders to their end.
func resumeSpoiled(t *testing.T, dir string, file, log []byte, orders int) error {
	t.Helper()
	path := filepath.Join(dir, "test.db")
	if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(path+"-wal", log, 0o600)); err != nil {
		return err
	}
	if err := check(path); err != nil {
		return err
	}
	var failed error
	synctest.Test(t, func(t *testing.T) {
		backend, err := sqlite.Open(path)
		if err != nil {
			failed = err
			return
		}
		s := newShop(t, backend, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		recorded, err := s.prefix(ctx, orders)
		if err == nil {
			err = s.engine.RunWhile(ctx, func(ctx context.Context) error {
				for n := range orders {
					if err := s.start(ctx, n+1); err != nil {
						return err
					}
				}
				if wrong := s.finish(ctx); wrong != "" {
					return errors.New(wrong)
				}
				for id := range recorded {
					if s.bodies[id] > 0 {
						return fmt.Errorf("%s was recorded, and ran again", id)
					}
				}
				return nil
			})
		}
		failed = errors.Join(err, backend.Close())
	})
	return failed
}

// prefix returns the steps that are recorded, and an error if they are no prefix of the history.
func (s *shop) prefix(ctx context.Context, orders int) (map[string]bool, error) {
	recorded, over := map[string]bool{}, false
	for n := 1; n <= orders; n++ {
		r, err := s.backend.Load(ctx, orderID(n), "")
		if errors.Is(err, lambdabiz.ErrNotFound) {
			over = true
			continue
		}
		if err != nil {
			return nil, err
		}
		if over {
			return nil, fmt.Errorf("%s is there, and something before it is not", orderID(n))
		}
		for i, op := range r.Operations {
			if op.ID != fmt.Sprint("step-", i) || op.Status != lambdabiz.StatusSucceeded {
				return nil, fmt.Errorf("%s: operation %d is %s, %v", orderID(n), i, op.ID, op.Status)
			}
			recorded[fmt.Sprint(orderID(n), "/", i)] = true
		}
		over = !r.Status.Ended()
		if r.Status.Ended() && len(r.Operations) != 5 {
			return nil, fmt.Errorf("%s ended with %d operations", orderID(n), len(r.Operations))
		}
	}
	return recorded, nil
}

// A copy of the files whose log is cut or garbled at a random byte holds a prefix of what happened, and an
// engine brings it to the right end.
func TestLogCutOrGarbledAtAnyByte(t *testing.T) {
	t.Parallel()
	const orders = 6
	file, log := recordOrders(t, t.TempDir(), orders)
	seed := campaign.Seed(t)
	cuts, changes := 0, 0
	must := func() []campaign.Count {
		return []campaign.Count{{What: "cuts", N: cuts}, {What: "garbled bytes", N: changes}}
	}
	dir := t.TempDir()
	for round := range campaign.More(outages(t), must) {
		spoilt, how := spoil(campaign.Random(seed, round), log)
		at := filepath.Join(dir, fmt.Sprint(round))
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := resumeSpoiled(t, at, file, spoilt, orders); err != nil {
			t.Fatalf("log %s of %d: %v", how, len(log), err)
		}
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(how, "cut") {
			cuts++
		} else {
			changes++
		}
	}
	campaign.Report(t, "F24", must())
}

// Without the order in which SQLite writes its log, a frame of the middle is lost and what follows is kept:
// the checks must see that this is no prefix.
func TestSabotageLogWithoutItsMiddle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	backend, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	complaint := ""
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, backend, 0)
		err := s.engine.RunWhile(t.Context(), func(ctx context.Context) error {
			for n := range 3 {
				if err := s.start(ctx, n+1); err != nil {
					return err
				}
			}
			return errors.New(s.finish(ctx))
		})
		if err != nil && err.Error() != "" {
			t.Error(err)
		}
		if err := s.engine.Purge(t.Context(), orderID(2)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.prefix(t.Context(), 3); err != nil {
			complaint = err.Error()
		}
	})
	campaign.Red(t, "F24", "the order of what is in the log", complaint)
}
