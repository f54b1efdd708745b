package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

func TestSequenceGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"--by-hand=false", "--by-hand=true"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := setup(t, "sequence", mode, "--pace", "20ms", "--cool-down", "100ms")
			first, second := p.killed("Difference works", "--pace", "500ms")
			continued(t, first, second, " works$", "             Number works", "             Sum works",
				"             Difference works", "             Product works", "             Quotient works")
			contains(t, second, "Operation1   had ended before", "Operation2   had ended before", "Sequence3 has succeeded: 15 / 5 = 3")
			if again := p.call(0); strings.Contains(again, "works") {
				t.Errorf("after its end it works again:\n%s", again)
			} else {
				contains(t, again, "nothing runs", "Sequence3 has succeeded: 15 / 5 = 3")
			}
		})
	}
}

func TestSequenceThatFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"--by-hand=false", "--by-hand=true"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := setup(t, "sequence", mode, "--pace", "0", "--number2", "0")
			for range 2 {
				contains(t, p.call(1), "sequence: orchestration Sequence3", "FAILED", "cannot divide by 0")
			}
		})
	}
}

// TestBothProgramsOfTheOriginal: the second one approves the first one, through one file.
func TestBothProgramsOfTheOriginal(t *testing.T) {
	t.Parallel()
	first := setup(t, "sequence", "--wait", "--pace", "0", "--cool-down", "0")
	second := setup(t, "restsequence", "--pace", "0", "--approve", "Sequence3")
	second.args[1] = first.db
	first.until("30SecTimer   has ended", os.Kill)
	contains(t, second.call(0), "Approve is raised in Sequence3")
	contains(t, first.call(0), "Sequence3 goes on", "Sequence3 has succeeded")
}

func TestRestsequenceGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	p := setup(t, "restsequence", "--pace", "20ms")
	first, second := p.killed("PUT /employees/22", "--pace", "500ms")
	keys := map[string]map[string]bool{} // of the calls, by request
	for _, line := range linesWith(first+second, "service: .*, key ") {
		request, key, _ := strings.Cut(line, ", key ")
		if keys[request] == nil {
			keys[request] = map[string]bool{}
		}
		keys[request][key] = true
	}
	if len(keys) != 4 {
		t.Errorf("the requests are %v", keys)
	}
	for request, k := range keys {
		if len(k) != 1 {
			t.Errorf("%s has the keys %v", request, k)
		}
	}
	if n := len(linesWith(second, "service: (GET|POST)")); n != 0 {
		t.Errorf("%d calls that were answered are made again:\n%s", n, second)
	}
	contains(t, first, "503, too busy")
	contains(t, second, "RESTSequence1 has succeeded: 2 employees, and Ada for 4600")
}

// booking is a line of the fake bank's books.
type booking struct {
	Key, Kind string
	Cents     int
	Repeated  bool
}

func bookings(t *testing.T, p *program) []booking {
	t.Helper()
	text, err := os.ReadFile(p.db + ".bank.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []booking
	for line := range strings.Lines(string(text)) {
		var b booking
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// TestOrderKilledWhileItPays: the bank has the money, and nobody has recorded it.
func TestOrderKilledWhileItPays(t *testing.T) {
	t.Parallel()
	p := setup(t, "order", "--pace", "20ms")
	first, second := p.killed("bank: charge of", "--pace", "1500ms")
	if n := len(linesWith(first+second, "warehouse: reserves")); n != 1 {
		t.Errorf("the item is reserved %d times", n)
	}
	contains(t, second, "reserve had ended before", "known, it was payment-1; no money is moved", "order-7 has succeeded",
		"charged 450 cents, refunded 0, 1 repeated")
	all := bookings(t, p)
	if len(all) != 2 || all[0].Key != all[1].Key || all[0].Repeated || !all[1].Repeated {
		t.Errorf("the books are %+v", all)
	}
}

func TestOrderTakesBackWhatWasDone(t *testing.T) {
	t.Parallel()
	const pattern = "warehouse|bank: |boss"
	for name, c := range map[string]struct {
		args   []string
		code   int
		want   []string
		ending string
	}{
		"approved": {nil, 0, []string{"reserves", "charge", "asked", "says yes", "packs"}, "order-7 has succeeded: payment-1"},
		"refused": {[]string{"--boss", "no"}, 0,
			[]string{"reserves", "charge", "asked", "says no", "refund", "back"}, "order-7 was refused"},
		"sold out": {[]string{"--sold-out"}, 1,
			[]string{"reserves", "charge", "asked", "says yes", "packs", "refund", "back"}, "the shelf is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, "order", append(c.args, "--pace", "0")...)
			text := p.call(c.code)
			lines := linesWith(text, pattern)
			if !slices.EqualFunc(lines, c.want, strings.Contains) {
				t.Errorf("the effects are %q, want %q", lines, c.want)
			}
			contains(t, text, c.ending)
			before := bookings(t, p)
			if again := p.call(c.code); len(linesWith(again, "warehouse")) > 0 || !slices.Equal(bookings(t, p), before) {
				t.Errorf("after its end it does something:\n%s", again)
			}
			balance := 0
			for _, b := range before {
				balance += map[string]int{"charge": 1, "refund": -1}[b.Kind] * b.Cents
			}
			if want := map[bool]int{true: 450}[name == "approved"]; balance != want {
				t.Errorf("the bank has %d cents, want %d", balance, want)
			}
		})
	}
}

// TestOrderWaitsForTheBoss: the answer comes from another program, while the order is not running.
func TestOrderWaitsForTheBoss(t *testing.T) {
	t.Parallel()
	p := setup(t, "order", "--boss", "wait", "--pace", "0")
	p.until("boss: says nothing yet; answer with: lambdabiz raise order-7 Approve true --backend sqlite:"+p.db, os.Kill)
	backend, err := sqlite.Open(p.db)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.RaiseEvent(t.Context(), "order-7", "Approve", true); err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	contains(t, p.call(0), "order-7 goes on", "order-7 has succeeded", "charged 450 cents, refunded 0")
}

func TestFanoutGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	p := setup(t, "fanout", "--pace", "20ms")
	first, second := p.killed("photo-10 is done", "--pace", "400ms")
	var before int
	if _, err := fmt.Sscanf(linesWith(second, "goes on in process")[0][len("album-1 goes on in process "):],
		"%d: %d photos", new(int), &before); err != nil {
		t.Fatal(err)
	}
	done, after := len(linesWith(first, "is done, attempt")), len(linesWith(second, "is done, attempt"))
	if before+after != 20 {
		t.Errorf("%d photos were done before, %d after the kill:\n%s", before, after, second)
	}
	const atOnce = 4 // what was done, and not yet recorded
	if before < done-atOnce || before > done {
		t.Errorf("%d photos were done at the kill, %d were recorded", done, before)
	}
	for _, photo := range []string{"photo-03", "photo-13"} {
		contains(t, first+second, photo+" fails, attempt 1\n", photo+" fails, attempt 2\n", photo+" is done, attempt 3\n")
	}
	contains(t, second, "album-1 has succeeded: 20 thumbnails, 24 attempts")
}

func TestFanoutFinishesTheOthers(t *testing.T) {
	t.Parallel()
	p := setup(t, "fanout", "--broken", "--pace", "0")
	text := p.call(1)
	if n := len(linesWith(text, "is done, attempt")); n != 19 {
		t.Errorf("%d photos are done:\n%s", n, text)
	}
	contains(t, text, "broken-photo cannot be read", "this is no photo")
}

func TestPollerGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	p := setup(t, "poller", "--every", "150ms", "--rounds", "3")
	first, second := p.killed("run 2, poll 5:")
	places := []string{"in the warehouse", "on the road", "at the depot", "on the last mile"}
	var want []string
	for poll := 1; poll < 13; poll++ {
		want = append(want, fmt.Sprintf("  run %d, poll %d: parcel-1 is %s", (poll-1)/3+1, poll, places[(poll-1)*4/13]))
	}
	continued(t, first, second, "poll [0-9]+:", append(want, "  run 5, poll 13: parcel-1 is delivered")...)
	contains(t, second, "delivered after 13 polls in 5 runs", "the longest of its 5 histories has 6 operations")
}

// Nobody answers, so that no answer races the calendar, however late the second life begins.
func TestApprovalGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	p := setup(t, "approval", "--day", "40ms", "--answers", "nobody")
	first, second := p.killed("day  7, mail")
	continued(t, first, second, "mail to",
		"  day  0, mail to grace: please decide", "  day  7, mail to grace: a reminder: please decide",
		"  day 14, mail to ada: grace has not answered, please decide", "  day 21, mail to ada: a reminder: please decide",
		"  day 28, mail to ada: the last reminder: please decide")
	contains(t, second, "form-1 has expired")
}

// The answer comes from another process while the program is killed, and no day of the calendar passes.
func TestApprovalIsAnsweredBetweenTwoLives(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"ada": "form-1 is approved by ada", "grace": "form-1 is refused by grace"} {
		p := setup(t, "approval", "--day", "24h", "--answers", "nobody")
		p.until("day  0, mail", os.Kill)
		backend, err := sqlite.Open(p.db)
		if err != nil {
			t.Fatal(err)
		}
		engine, err := lambdabiz.New(backend, lambdabiz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		answer := map[string]any{"By": name, "Approved": name == "ada"}
		if err := engine.RaiseEvent(t.Context(), "form-1", "Answer", answer); err != nil {
			t.Fatal(err)
		}
		if err := backend.Close(); err != nil {
			t.Fatal(err)
		}
		second := p.call(0)
		contains(t, second, "form-1 goes on in process", want)
		if n := len(linesWith(second, "day  [1-9]")); n != 0 {
			t.Errorf("days have passed:\n%s", second)
		}
	}
}

func TestAgentGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	p := setup(t, "agent", "--pace", "20ms")
	first, second := p.killed("tool Subtract", "--pace", "400ms")
	continued(t, first, second, "model is asked|tool (Subtract|Note)",
		"  model is asked; messages so far: 1", "  model is asked; messages so far: 1", // it was overloaded
		"  model is asked; messages so far: 5", "  tool Subtract(14 11) is called",
		"  model is asked; messages so far: 7", "  tool Note(Bergen is warmer by 3 degrees) is called",
		"  model is asked; messages so far: 9")
	if n := len(linesWith(first+second, "tool Weather")); n != 2 {
		t.Errorf("the weather is asked for %d times", n)
	}
	contains(t, second, "model-1 had ended before", "model-2 had ended before",
		"question-1 is answered in 4 turns with 5 calls: Bergen, by 3 degrees.")
	contains(t, p.call(1, "--id", "q2", "--turns", "2"), "no answer after 2 turns")
}

// TestInterrupted: after Ctrl-C every example says how to go on, and goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no way to send an interrupt to one process")
	}
	for name, c := range map[string]struct {
		words      string
		args, next []string // of the first life, and of the second
	}{
		"sequence":     {"Sum works", []string{"--pace", "400ms", "--cool-down", "0"}, []string{"--pace", "0"}},
		"restsequence": {"GET", []string{"--pace", "400ms"}, []string{"--pace", "0"}},
		"order":        {"bank: charge", []string{"--pace", "400ms"}, []string{"--pace", "0"}},
		"fanout":       {"photo-04", []string{"--pace", "400ms"}, []string{"--pace", "0"}},
		"poller":       {"poll 2:", []string{"--every", "150ms"}, nil},
		"approval":     {"day  7", []string{"--day", "80ms"}, nil},
		"agent":        {"messages so far: 5", []string{"--pace", "400ms"}, []string{"--pace", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, name)
			contains(t, p.until(c.words, os.Interrupt, c.args...),
				"interrupted; everything so far is in "+p.db+": run the same command again")
			contains(t, p.call(0, c.next...), "goes on in process")
		})
	}
}

// TestUsage: -h has examples, and mistakes are told in one line.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, name)
			contains(t, p.call(0, "-h"), name+" ", "Examples:\n  "+name+" ", "-db file", "-id id")
			contains(t, p.call(2, "--no-such-flag"), "flag provided but not defined", "Examples:")
			for _, args := range [][]string{{"--db", p.db, "start"}, {"--db", p.db + "/no/directory"}} {
				if text := p.call(1, args...); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, name+": ") {
					t.Errorf("%q: it says\n%s", args, text)
				}
			}
		})
	}
}
