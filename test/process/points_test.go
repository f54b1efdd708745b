package process_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const (
	exitAtPoint = 7 // the exit code of a process that ended at its point
	chain       = 4 // how many lives in a row end at a point before one goes to its end
)

// exits is one file on which processes end at points, one after the other.
type exits struct {
	*ledger
	random *rand.Rand
	most   map[string]int // how often a whole life comes to a point
	lives  int
}

func newExits(t *testing.T, program string, most map[string]int, random *rand.Rand) *exits {
	t.Helper()
	b := setup(t)
	b.program = program
	return &exits{ledger: newLedger(b), random: random, most: most}
}

// TestExitAtEveryPoint ends processes at every point that the source has, before and after each step of all
// that is written, and lets others go on. Each point must be reached.
func TestExitAtEveryPoint(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	program, all := buildWithPoints(t), points(t)
	most := countHits(t, program)
	hits := campaign.Rounds(t, 1, 20)
	planned := slices.Repeat(all, hits)
	campaign.Random(seed, 0).Shuffle(len(planned), func(i, j int) { planned[i], planned[j] = planned[j], planned[i] })

	var mu sync.Mutex
	reached := map[string]int{}
	var total ledger
	file := func(t *testing.T, round int, planned []string) {
		x := newExits(t, program, most, campaign.Random(seed, round))
		for _, point := range planned {
			x.exitAt(point)
		}
		x.finish()
		x.complain()
		mu.Lock()
		defer mu.Unlock()
		for _, point := range planned {
			reached[point]++
		}
		total.cut += x.cut
		total.lost += x.lost
		total.doubled += x.doubled
	}
	lanes := make(chan struct{}, 2)
	var files sync.WaitGroup
	round := 0
	for part := range slices.Chunk(planned, chain) {
		round++
		lanes <- struct{}{}
		files.Go(func() {
			defer func() { <-lanes }()
			t.Run(fmt.Sprintf("file %d", round), func(t *testing.T) { file(t, round, part) })
		})
	}
	files.Wait()
	struck := 0
	for _, point := range all {
		struck += reached[point]
		if reached[point] != hits {
			t.Errorf("processes ended at the point %s %d times, want %d", point, reached[point], hits)
		}
	}
	campaign.Report(t, "F2",
		[]campaign.Count{{What: "points reached", N: len(reached)}, {What: "exits", N: struck}, {What: "bodies cut", N: total.cut}},
		campaign.Count{What: "points in the source", N: len(all)}, campaign.Count{What: "lost", N: total.lost},
		campaign.Count{What: "doubled", N: total.doubled})
}

// TestSabotageExitBetweenTwoTransactions writes records in one transaction and what they say was sent in
// another one.
func TestSabotageExitBetweenTwoTransactions(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	program := buildWithPoints(t)
	for hit := 1; hit <= 2; hit++ { // a child and a raised event
		x := newExits(t, program, nil, campaign.Random(seed, hit))
		p := x.spawn(args{Role: "all", Name: "torn", Orders: []int{0}, Lease: endless, Sabotage: "torn", Fault: "torn", Hit: hit})
		if code := p.awaitExit(); code != exitAtPoint {
			t.Fatalf("the process ended with exit code %d", code)
		}
		x.acknowledge(p)
		x.check()
		campaign.Red(t, "F2", "the one transaction", strings.Join(x.faults, "\n"))
	}
}

// exitAt lets a process end at a point: at one of the arrivals that a life has there, or, if there are not as many
// this time, at the first of the next life.
func (x *exits) exitAt(point string) {
	x.t.Helper()
	for _, hit := range []int{1 + x.random.IntN(max(1, x.most[point])), 1} {
		p := x.life(point, hit)
		code := p.awaitExit()
		x.acknowledge(p)
		x.check()
		switch {
		case code == exitAtPoint && p.await("exit at") == point:
			return
		case code != 0:
			x.t.Fatalf("the process that was to end at %s ended with exit code %d", point, code)
		}
	}
	x.t.Errorf("no process came to the point %s", point)
}

// life works on one new order and on all before.
func (x *exits) life(point string, hit int) *process {
	x.t.Helper()
	x.lives++
	a := args{Role: "all", Name: fmt.Sprintf("life %d", x.lives), Lease: endless, Parks: true, Fault: point, Hit: hit}
	if strings.Contains(point, "renew") {
		a.Lease = 150 * time.Millisecond // nobody else is there to take it for dead
	}
	for n := range x.lives {
		a.Orders = append(a.Orders, n)
	}
	return x.spawn(a)
}

// finish lets a process go to its end, and checks all outcomes.
func (x *exits) finish() {
	x.t.Helper()
	p := x.life("", 0)
	if code := p.awaitExit(); code != 0 {
		x.t.Fatalf("the last process ended with exit code %d", code)
	}
	x.acknowledge(p)
	x.checkAll()
	for n := range x.lives {
		for id, want := range map[string]string{
			orderID(n): orderResult(n), orderID(n) + ".note": noteResult, fmt.Sprintf("pause-%d", n): "1,yes",
			fmt.Sprintf("kept-%d", n): "yes", fmt.Sprintf("hand-%d", n): "by hand",
		} {
			if got := x.outcomes[id]; got != strconv.Quote(want) {
				x.faultf("%s ended with %s, want %q", id, got, want)
			}
		}
		for id, want := range map[string]string{
			fmt.Sprintf("cancel-%d", n): "CANCELLED", fmt.Sprintf("stop-%d", n): "TERMINATED",
		} {
			if got := x.statuses[id]; got != want {
				x.faultf("%s ended as %s, want %s", id, got, want)
			}
		}
	}
}

// TestOrdinaryProgramsHaveNoPoints: the compiler takes them out, names and all. This program was built without them.
func TestOrdinaryProgramsHaveNoPoints(t *testing.T) {
	t.Parallel()
	if testing.CoverMode() != "" {
		t.Skip("a program that counts what is covered has counters in empty functions too")
	}
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range points(t) {
		if bytes.Contains(program, []byte(name)) {
			t.Errorf("the point %s is in a program that was built without the tag fault", name)
		}
	}
}

// countHits lets one process go to its end, and returns how often it came to each point.
func countHits(t *testing.T, program string) map[string]int {
	t.Helper()
	x := newExits(t, program, nil, nil)
	p := x.spawn(args{Role: "all", Name: "counting", Orders: []int{0}, Lease: endless, Parks: true})
	if code := p.awaitExit(); code != 0 {
		t.Fatalf("the counting process ended with exit code %d", code)
	}
	most := map[string]int{}
	lines, _ := p.find("hits")
	for _, line := range lines {
		name, n, _ := strings.Cut(line, " ")
		var err error
		if most[name], err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	return most
}

// points finds the names of all points in the source.
func points(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"../../*.go", "../../sqlite/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				names = append(names, pointsOf(t, file)...)
			}
		}
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) || len(names) == 0 {
		t.Fatalf("a name stands at two points, or there are none: %q", names)
	}
	return names
}

func pointsOf(t *testing.T, file string) []string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || f.Sel.Name != "Point" {
			return true
		}
		if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "fault" {
			return true
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%v: the name of a point must be a string constant", set.Position(n.Pos()))
		}
		name, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		return true
	})
	return names
}

// withPoints is the program that buildWithPoints has built, for all tests.
var withPoints struct {
	once sync.Once
	dir  string
	text []byte
	err  error
}

// buildWithPoints builds the tests with the tag "fault", with the race detector if these have it.
func buildWithPoints(t *testing.T) string {
	t.Helper()
	withPoints.once.Do(func() {
		if withPoints.dir, withPoints.err = os.MkdirTemp("", "points"); withPoints.err != nil {
			return
		}
		flags := []string{"test", "-c", "-tags", "fault", "-o", filepath.Join(withPoints.dir, "program")}
		if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			flags = append(flags, "-race")
		}
		//nolint:noctx // another test may need it when this one has failed
		withPoints.text, withPoints.err = exec.Command("go", append(flags, ".")...).CombinedOutput()
	})
	if withPoints.err != nil {
		t.Fatalf("build with points: %v\n%s", withPoints.err, withPoints.text)
	}
	return filepath.Join(withPoints.dir, "program")
}
