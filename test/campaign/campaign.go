package campaign

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// T is what a campaign needs of a test; *testing.T and *testing.B have it.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// The variables of the environment that lengthen and repeat a run.
const (
	CyclesVariable = "LAMBDABIZ_CYCLES"
	SeedVariable   = "LAMBDABIZ_SEED"
)

// The words with which the lines of a campaign begin; what follows is meant for people and for programs.
const (
	FaultWord    = "FAULT"
	SabotageWord = "SABOTAGE"
)

// Rounds is how many rounds a fault test goes: short ones in the ordinary run, and full × LAMBDABIZ_CYCLES ÷ 1,000
// in a campaign, but never less than short.
func Rounds(t T, short, full int) int {
	t.Helper()
	text, set := os.LookupEnv(CyclesVariable)
	if !set {
		return short
	}
	cycles, err := strconv.Atoi(text)
	if err != nil || cycles < 1 {
		t.Fatalf("%s is %q, it must be a number above 0", CyclesVariable, text)
	}
	return max(short, full*cycles/1000)
}

// Seed returns the seed of LAMBDABIZ_SEED, or a new one, and prints how to repeat the run.
func Seed(t T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text, set := os.LookupEnv(SeedVariable); set {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q, it must be a number", SeedVariable, text)
		}
		seed = given
	}
	root, _, _ := strings.Cut(t.Name(), "/")
	t.Logf("to repeat: %s=%d go test -run '^%s$'", SeedVariable, seed, root)
	return seed
}

// Random returns numbers that follow from the seed and the round only.
func Random(seed uint64, round int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(round))) //nolint:gosec // it must be repeatable
}

// Count is how often something happened.
type Count struct {
	What string // one word or more without "=" and ","
	N    int
}

// Report prints what a fault test really did: the number of the fault, and how often what happened. With a
// count of 0 among those that must says, it fails the test: a fault that never struck proves nothing.
func Report(t T, fault string, must []Count, also ...Count) {
	t.Helper()
	var b strings.Builder
	for i, c := range slices.Concat(must, also) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%d", c.What, c.N)
	}
	t.Logf("%s %s %s: %s", FaultWord, fault, t.Name(), &b)
	for _, c := range must {
		if c.N == 0 {
			t.Fatalf("%s: %s never happened: the test proves nothing", fault, c.What)
		}
	}
}

// More yields the numbers of n rounds, and of up to 100 more for as long as one of the counts that must not be 0
// is: what chance or the scheduler decides may not happen in a few rounds.
func More(n int, must func() []Count) iter.Seq[int] {
	return func(yield func(round int) bool) {
		missing := func(c Count) bool { return c.N == 0 }
		for round := 0; round < n || round < n+100 && slices.ContainsFunc(must(), missing); round++ {
			if !yield(round) {
				return
			}
		}
	}
}

// UntilRed goes rounds of a twin until its checks complain, and returns their complaint: what is drawn by chance,
// or left to the scheduler, does not meet the missing protection in every round. After 1,000 rounds it gives up.
func UntilRed(round func(round int) string) (complaint string) {
	for n := 0; complaint == "" && n < 1000; n++ {
		complaint = round(n)
	}
	return complaint
}

// Red says what the checks found after the protection was removed, in one line. An empty complaint fails the
// test: the checks did not see it.
func Red(t T, fault, protection, complaint string) {
	t.Helper()
	if complaint == "" {
		t.Fatalf("%s: %s was removed, and no check has seen it", fault, protection)
	}
	first, _, _ := strings.Cut(complaint, "\n")
	t.Logf("%s %s %s: without %s: %s", SabotageWord, fault, t.Name(), protection, first)
}
