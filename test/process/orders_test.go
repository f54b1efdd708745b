package process_test

import (
	"fmt"
	"strconv"
	"strings"
)

// orderMoves is an orchestration with every kind of operation. Bodies take a few milliseconds, so that
// many a kill meets one.
func orderMoves(n int) []move {
	pause := 30
	if n%4 == 1 {
		pause = 400 // a disk that is slow has written the timer before it is due
	}
	return []move{
		{ID: "reserve", Kind: "task", Text: fmt.Sprintf("r%d", n), Millis: 3 + n%7},
		{ID: "price", Kind: "step", Text: fmt.Sprintf("p%d", n), Millis: 3 + n%5},
		{ID: "pause", Kind: "timer", Millis: pause},
		{ID: "ship", Kind: "map", Items: []string{"a", "b", "c"}, Millis: 5 + n%4},
		{ID: "note", Kind: "detached", Moves: noteMoves()},
		{ID: "tell", Kind: "raise", To: orderID(n) + "~-note", Event: "Told", Text: "told"},
		{ID: "sprint", Kind: "sprint", Text: "won", Millis: 4 + n%3},
		{ID: "half", Kind: "progress"},
		{ID: "Approve", Kind: "event"},
		{ID: "invoice", Kind: "child", Moves: invoiceMoves()},
		{ID: "laps", Kind: "child", Moves: lapsMoves()},
		{ID: "close", Kind: "task", Text: "closed", Millis: 3 + n%3},
	}
}

func orderResult(n int) string {
	return fmt.Sprintf("r%d,p%d,pause,a+b+c,note,tell,won,half,yes,paper,3,closed", n, n)
}

func invoiceMoves() []move {
	return []move{{ID: "print", Kind: "task", Text: "paper", Millis: 6}}
}

// noteMoves is what an order starts and does not wait for.
func noteMoves() []move {
	return []move{{ID: "Told", Kind: "event"}, {ID: "write", Kind: "task", Text: "written", Millis: 3}}
}

const noteResult = "told,written"

// lapsMoves continues as new twice. Each run has an operation of its own.
func lapsMoves() []move {
	return []move{
		{ID: "lap1", Kind: "step", Text: "1", Millis: 3}, {Kind: "again"},
		{ID: "lap2", Kind: "task", Text: "2", Millis: 3}, {Kind: "again"},
		{ID: "lap3", Kind: "step", Text: "3", Millis: 3},
	}
}

func orderID(n int) string { return fmt.Sprintf("order-%d", n) }

// movesOf returns the moves of an orchestration of an order, nil if it is none.
func movesOf(id string) []move {
	text, found := strings.CutPrefix(id, "order-")
	number, part, _ := strings.Cut(text, ".")
	n, err := strconv.Atoi(number)
	switch {
	case !found || err != nil:
		return nil
	case part == "invoice":
		return invoiceMoves()
	case part == "note":
		return noteMoves()
	case part == "laps":
		return lapsMoves()
	default:
		return orderMoves(n)
	}
}

// bodies returns the paths of a move's records.
func bodies(m move) []string {
	switch m.Kind {
	case "map":
		var paths []string
		for _, item := range m.Items {
			paths = append(paths, m.ID+"/"+item+"/pack")
		}
		return paths
	case "sprint":
		return []string{"run-of-" + m.ID + "/dash", m.ID}
	case "progress", "again", "code":
		return nil
	default:
		return []string{m.ID}
	}
}
