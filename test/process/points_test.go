package process_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
		total.cut = append(total.cut, x.cut...)
		total.lost += x.lost
		total.doubled += x.doubled
	}
	inTwoLanes(t, planned, file)
	struck := 0
	for _, point := range all {
		struck += reached[point]
		if reached[point] != hits {
			t.Errorf("processes ended at the point %s %d times, want %d", point, reached[point], hits)
		}
	}
	campaign.Report(t, "F2",
		[]campaign.Count{{What: "points reached", N: len(reached)}, {What: "exits", N: struck}, {What: "bodies cut", N: len(total.cut)}},
		campaign.Count{What: "points in the source", N: len(all)}, campaign.Count{What: "lost", N: total.lost},
		campaign.Count{What: "doubled", N: total.doubled})
}

// inTwoLanes hands out what is planned, some for each file, and works on two files at a time.
func inTwoLanes(t *testing.T, planned []string, file func(t *testing.T, round int, planned []string)) {
	t.Helper()
	lanes := make(chan struct{}, 2)
	var files sync.WaitGroup
	for round, part := range slices.Collect(slices.Chunk(planned, chain)) {
		lanes <- struct{}{}
		files.Go(func() {
			defer func() { <-lanes }()
			t.Run(fmt.Sprintf("file %d", round+1), func(t *testing.T) { file(t, round, part) })
		})
	}
	files.Wait()
}

// TestStopAtEveryPoint asks processes to end when they come to a point. They end what they have begun, in time, and
// the next one finds nothing that was cut.
func TestStopAtEveryPoint(t *testing.T) {
	t.Parallel()
	random := campaign.Random(campaign.Seed(t), 0)
	program, all := buildWithPoints(t), points(t)
	stops := campaign.Rounds(t, 24, 300)
	planned := slices.Repeat(all, stops/len(all)+1)
	random.Shuffle(len(planned), func(i, j int) { planned[i], planned[j] = planned[j], planned[i] })

	var mu sync.Mutex
	stopped := map[string]int{}
	ended := 0
	inTwoLanes(t, planned[:stops], func(t *testing.T, _ int, planned []string) {
		x := newExits(t, program, nil, nil)
		for _, point := range planned {
			if x.stopAt(point) {
				mu.Lock()
				stopped[point]++
				mu.Unlock()
			}
		}
		x.finish()
		// What is driven by hand has no drain: its caller's context has ended.
		x.cut = slices.DeleteFunc(x.cut, func(body string) bool { return strings.HasPrefix(body, "hand-") })
		x.faults = append(x.faults, x.cutBodies()...)
		x.complain()
		mu.Lock()
		defer mu.Unlock()
		ended += x.ended()
	})
	n := 0
	for _, at := range stopped {
		n += at
	}
	campaign.Report(t, "F38", []campaign.Count{
		{What: "stops", N: n}, {What: "points", N: len(stopped)}, {What: "orchestrations ended", N: ended},
	})
}

// stopAt asks a process to end at a point. It reports false if the process came to its end by itself.
func (x *exits) stopAt(point string) bool {
	x.t.Helper()
	a := x.plan(point, 1)
	a.Stops = true
	began := time.Now()
	p := x.spawn(a)
	if code := p.awaitExit(); code != 0 {
		x.t.Fatalf("the process that was to stop at %s ended with exit code %d", point, code)
	}
	if took := time.Since(began); took > 2*grace {
		x.faultf("the process that was to stop at %s took %v", point, took)
	}
	x.acknowledge(p)
	x.check()
	x.faults = append(x.faults, p.crashesClaimed()...)
	return p.said("stop at") > 0
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
// this time, at the first of a later life.
func (x *exits) exitAt(point string) {
	x.t.Helper()
	hit := 1 + x.random.IntN(max(1, x.most[point]))
	for range 12 { // some need a timer that is longer than a commit, and the other kind of life; see orderMoves
		p := x.life(point, hit)
		hit = 1
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

// life works on one new order and on all that have not ended.
func (x *exits) life(point string, hit int) *process {
	x.t.Helper()
	return x.spawn(x.plan(point, hit))
}

func (x *exits) plan(point string, hit int) args {
	x.lives++
	a := args{Role: "all", Name: fmt.Sprintf("life %d", x.lives), Lease: endless, Parks: x.lives%2 > 0, Fault: point, Hit: hit}
	if strings.Contains(point, "renew") {
		a.Lease = time.Second // it beats soon; nobody else is there to take it for dead
	}
	for n := range x.lives {
		if x.missing(n) != "" {
			a.Orders = append(a.Orders, n)
		}
	}
	return a
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
		if missing := x.missing(n); missing != "" {
			x.faultf("%s", missing)
		}
	}
}

// missing says which of an order's outcomes has not been acknowledged yet, or is wrong; empty for none.
func (x *exits) missing(n int) string {
	for id, want := range map[string]string{
		orderID(n): orderResult(n), orderID(n) + "~-note": noteResult, fmt.Sprintf("pause-%d", n): "1,yes",
		fmt.Sprintf("kept-%d", n): "yes", fmt.Sprintf("hand-%d", n): "by hand",
	} {
		if got := x.outcomes[id]; got != strconv.Quote(want) {
			return fmt.Sprintf("%s ended with %s, want %q", id, got, want)
		}
	}
	for id, want := range map[string]string{
		fmt.Sprintf("cancel-%d", n): "CANCELLED", fmt.Sprintf("stop-%d", n): "TERMINATED",
	} {
		if got := x.statuses[id]; got != want {
			return fmt.Sprintf("%s ended as %s, want %s", id, got, want)
		}
	}
	if id := fmt.Sprintf("purge-%d", n); !x.purged[id] {
		return id + " was not purged"
	}
	return ""
}

// TestOrdinaryProgramsHaveNoPoints: without the tag a point is an empty function, and the compiler puts its body,
// which is nothing, in the place of every call.
func TestOrdinaryProgramsHaveNoPoints(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "internal", "fault", "point.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := file.Decls[0].(*ast.FuncDecl); !ok || len(file.Decls) != 1 || f.Name.Name != "Point" || len(f.Body.List) > 0 {
		t.Error("an ordinary Point does something")
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-m", ".", "./sqlite")
	build.Dir = filepath.Join("..", "..")
	text, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	inlined := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if place, found := strings.CutSuffix(strings.TrimSpace(line), ": inlining call to fault.Point"); found {
			inlined[filepath.ToSlash(filepath.Clean(place))] = true
		}
	}
	if all := points(t); len(inlined) != len(all) {
		t.Errorf("%d calls of %d points are inlined: %v", len(inlined), len(all), slices.Sorted(maps.Keys(inlined)))
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

// buildWithPoints builds the tests with the tag "fault". They are without the race detector: there are many lives.
func buildWithPoints(t *testing.T) string {
	t.Helper()
	withPoints.once.Do(func() {
		//nolint:usetesting // it is for all tests, not for the one that comes first
		if withPoints.dir, withPoints.err = os.MkdirTemp("", "points"); withPoints.err != nil {
			return
		}
		//nolint:noctx // another test may need it when this one has failed
		withPoints.text, withPoints.err = exec.Command(
			"go", "test", "-c", "-tags", "fault", "-o", filepath.Join(withPoints.dir, "program"), ".").CombinedOutput()
	})
	if withPoints.err != nil {
		t.Fatalf("build with points: %v\n%s", withPoints.err, withPoints.text)
	}
	return filepath.Join(withPoints.dir, "program")
}
