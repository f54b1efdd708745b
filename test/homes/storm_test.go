package homes_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/test/campaign"
	"github.com/lambdabiz/lambdabiz/test/faulty"
)

// What runs the tests of everywhere on stores that fail, in memory; campaign.SeedVariable repeats it.
const (
	faultsVariable   = "LAMBDABIZ_FAULTS"   // how many calls of a hundred fail
	sabotageVariable = "LAMBDABIZ_SABOTAGE" // which promise the store breaks as well
)

// stormy is a run of the tests in which the stores fail.
type stormy struct {
	percent  int // of the calls; 0 for none
	seed     uint64
	sabotage string
	err      error // of the variables
}

var storm = readStorm()

func readStorm() stormy {
	var s stormy
	text, set := os.LookupEnv(faultsVariable)
	if !set {
		return s
	}
	s.percent, s.err = strconv.Atoi(text)
	if s.err == nil && (s.percent < 1 || s.percent > 100) {
		s.err = fmt.Errorf("%s is %q, it must be 1 to 100", faultsVariable, text)
	}
	if text, set := os.LookupEnv(campaign.SeedVariable); set && s.err == nil {
		s.seed, s.err = strconv.ParseUint(text, 10, 64)
	}
	s.sabotage = os.Getenv(sabotageVariable)
	homes = homes[:2] // those in memory: what fails is put around them, not within
	return s
}

// disturb lets the calls of the bench's workers go wrong from now on.
func (b *bench) disturb(but []exception) {
	b.t.Helper()
	if storm.err != nil {
		b.t.Fatal(storm.err)
	}
	if storm.percent == 0 {
		return
	}
	name := fnv.New64a()
	_, _ = name.Write([]byte(b.t.Name())) // a hash never fails
	random := rand.New(rand.NewPCG(storm.seed, name.Sum64()))
	b.faults, b.ledger = faulty.New(random, storm.percent, 100*time.Millisecond), &invariant.Ledger{}
	b.faults.SpareClients()
	if slices.ContainsFunc(but, func(x exception) bool { return x.home == noUnknownClaims }) {
		b.faults.KnowClaims()
	}
	if slices.ContainsFunc(but, func(x exception) bool { return x.home == endsKnown }) {
		b.faults.KnowEnds()
	}
	b.ctx = faulty.Spare(b.ctx, true)
	view := b.store
	if broken, found := promises[storm.sabotage]; found {
		view = lie(view, broken)
	}
	b.backend = faulty.Wrap(b.ledger.Watch(view), b.faults)
}

// begin runs the engine until ctx ends: a store that fails may keep it from joining, so it tries again. It returns
// when that is not so any more.
func (b *bench) begin(ctx context.Context, e *lambdabiz.Engine, done chan<- error) {
	b.t.Helper()
	var refused atomic.Bool
	const pause = 10 * time.Millisecond
	go func() {
		for ctx.Err() == nil {
			if e.Run(ctx) != nil {
				refused.Store(true)
				time.Sleep(pause)
				refused.Store(false)
			}
		}
		done <- nil
	}()
	for synctest.Wait(); refused.Load(); synctest.Wait() {
		time.Sleep(pause)
	}
}

// settle waits until nothing happens any more. A store that fails is well meanwhile, for as long as it takes until
// everything is as without faults: a lease, and the longest pause before what has failed is tried again.
func (b *bench) settle() {
	synctest.Wait()
	if b.faults == nil {
		return
	}
	b.well()
	time.Sleep(30 * time.Second)
	synctest.Wait()
	b.ill()
}

// well ends the faults for as long as a test measures times, or counts on what one call does, until ill.
func (b *bench) well() {
	if b.faults != nil {
		b.faults.Heal()
	}
}

// ill lets calls fail again after well.
func (b *bench) ill() {
	if b.faults != nil {
		b.faults.Fail()
	}
}

// exact reports whether a number of seconds, or of bodies that ran, is what it must be. While calls fail it may be more, and
// never less: a call that fails takes its time, and what is cut begins anew.
func (b *bench) exact(got, want int) bool { return got == want || b.faults != nil && got > want }

// calm ends the faults, lets what they have cut come to rest, and tells what they were.
func (b *bench) calm() {
	if b.faults == nil {
		return
	}
	b.faults.Heal()
	time.Sleep(time.Minute)
	synctest.Wait()
	line := fmt.Sprintf("%s%s calls=%d", struckWord, b.t.Name(), b.faults.Calls())
	for k := faulty.Refused; k <= faulty.Again; k++ {
		line += fmt.Sprintf(" %s=%d", k, b.faults.Struck(k))
	}
	fmt.Fprintln(os.Stdout, line)
}

// struckWord begins the line in which a test says what has struck.
const struckWord = "STRUCK "

// The tests of every home hold on a store of which 1 to 50 calls of a hundred fail.
func TestSuiteOverStoresThatFail(t *testing.T) {
	t.Parallel()
	if storm.percent > 0 {
		t.Skip("the stores fail already")
	}
	seed := campaign.Seed(t)
	names, calm := suite(t)
	if calm > calmMost {
		t.Errorf("%d tests hold only while no call fails, at most %d may", calm, calmMost)
	}
	rates := []int{1, 5, 20, 50}
	if _, campaigning := os.LookupEnv(campaign.CyclesVariable); !campaigning {
		rates = []int{5}
	}
	for _, percent := range rates {
		t.Run(strconv.Itoa(percent), func(t *testing.T) {
			var all suiteOutcome
			rounds := campaign.Rounds(t, 1, 20)
			for round := range rounds {
				s := stormy{percent: percent, seed: campaign.Random(seed, round*100+percent).Uint64()}
				o := runSuite(t, names, s)
				steady := o.complaint == "" || o.again(t, s)
				all.add(o)
				if !steady {
					t.Fatalf("round %d, to repeat a test of it: %s=%d %s=%d go test -run '^Test...$' ./test/homes\n%s",
						round, faultsVariable, percent, campaign.SeedVariable, s.seed, o.complaint)
				}
			}
			must, also := all.counts()
			campaign.Report(t, "F29", must, append(also, campaign.Count{What: "tests without", N: calm})...)
			if most := rounds * len(names) / unsteadyOf; all.unsteady > most {
				t.Errorf("%d tests hold with other seeds only, at most %d may", all.unsteady, most)
			}
		})
	}
}

// A store that drops what it acknowledges is found out by the same tests.
func TestSabotageSuiteOverAStoreThatLies(t *testing.T) {
	t.Parallel()
	if storm.percent > 0 {
		t.Skip("the stores fail already")
	}
	seed := campaign.Seed(t)
	names, _ := suite(t)
	for promise := range promises {
		t.Run(promise, func(t *testing.T) {
			complaint := campaign.UntilRed(func(round int) string {
				random := campaign.Random(seed, round)
				some := make([]string, 10)
				for i := range some {
					some[i] = names[random.IntN(len(names))]
				}
				o := runSuite(t, some, stormy{percent: 1, seed: random.Uint64(), sabotage: promise})
				return firstError(o.complaint)
			})
			campaign.Red(t, "F29", fmt.Sprintf("the promise that %q", promise), complaint)
		})
	}
}
