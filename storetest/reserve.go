package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

var refuseChecks = []check{
	{name: "refuse/an operation that is too large is named, and nothing is written", refuses: true, run: refuseOperation},
	{name: "refuse/a run that is too large writes nothing", refuses: true, run: refuseRun},
	{name: "refuse/a reservation and an event that are too large", refuses: true, run: refuseOthers},
}

var reserveChecks = []check{
	{name: "reserve/an id without a run", run: reserveFirst},
	{name: "reserve/replaces the run that it names", run: reserveReplaces},
	{name: "reserve/any other run is ErrStale, and nothing is written", run: reserveStale},
	{name: "reserve/its own run come twice is no error, and writes nothing", run: reserveTwice},
	{name: "reserve/a version that is not newer is ErrStale", run: reserveVersion},
	{name: "reserve/operations of the replaced run are not seen", run: reserveOperations},
	{name: "reserve/one of many wins", run: reserveMany},
	{name: "reserve/one of many wins over a run", run: reserveManyOver},
}

func refuseOperation(h *harness) {
	h.put(runOf("a", 1, 1, operation(1, "x")))
	for _, set := range []func(o *lambdabiz.Operation, p lambdabiz.Payload){
		func(o *lambdabiz.Operation, p lambdabiz.Payload) { o.Input = p },
		func(o *lambdabiz.Operation, p lambdabiz.Payload) { o.Result = p },
		func(o *lambdabiz.Operation, p lambdabiz.Payload) { o.Details = p },
	} {
		large := operation(3, "z")
		set(&large, lambdabiz.Payload(strings.Repeat("x", h.tooLarge)))
		err := h.s.Put(background, runOf("a", 1, 2, operation(1, "new"), operation(2, "y"), large))
		h.is(err, lambdabiz.ErrTooLarge, "Put of a large operation")
		if !strings.Contains(err.Error(), large.ID) {
			h.Fatalf("error %q does not name the operation %s", err, large.ID)
		}
		h.has("a", 1, 1, "x")
	}
}

func refuseRun(h *harness) {
	h.put(runOf("a", 1, 1, operation(1, "x")))
	s := runOf("a", 1, 2, operation(1, "new"))
	s.Result = lambdabiz.Payload(strings.Repeat("x", h.tooLarge))
	h.is(h.s.Put(background, s), lambdabiz.ErrTooLarge, "Put of a large result")
	h.has("a", 1, 1, "x")
	s = runOf("a", 1, 2, operation(1, "new"))
	s.Messages = []lambdabiz.Message{message(1, strings.Repeat("x", h.tooLarge))}
	h.is(h.s.Put(background, s), lambdabiz.ErrTooLarge, "Put of a large message")
	h.has("a", 1, 1, "x")
}

func refuseOthers(h *harness) {
	s := runOf("a", 1, 1)
	s.Input = lambdabiz.Payload(strings.Repeat("x", h.tooLarge))
	h.is(h.s.Reserve(background, s, ""), lambdabiz.ErrTooLarge, "Reserve with a large input")
	h.none("a")
	e := event("k", 1)
	e.Payload = s.Input
	h.is(h.s.Keep(background, "a", e), lambdabiz.ErrTooLarge, "Keep of a large event")
	h.kept("a", 1)
}

func reserveFirst(h *harness) {
	s := runOf("a", 1, 0)
	s.Status = lambdabiz.StatusScheduled
	h.reserve(s, "")
	want(h, normal(h.get("a")), normal(s), "snapshot")
	h.put(runOf("a", 1, 1, operation(1, "x")))
	h.has("a", 1, 1, "x")
	h.reserve(runOf("b", 1, 0), "")
	h.listed(lambdabiz.Filter{IDPrefix: "a"}, "a", "a#1")
}

func reserveReplaces(h *harness) {
	h.put(ended(runOf("a", 1, 9), lambdabiz.StatusFailed))
	h.reserve(runOf("a", 2, 0), "a#1")
	h.has("a", 2, 0)
	want(h, h.get("a").Status, lambdabiz.StatusStarted, "status")
	h.put(runOf("a", 1, 10))
	h.has("a", 2, 0)
	h.listed(lambdabiz.Filter{}, "all", "a#2")
	h.listed(lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusFailed}}, "failed runs")
}

func reserveStale(h *harness) {
	h.is(h.s.Reserve(background, runOf("a", 1, 0), "a#0"), lambdabiz.ErrStale, "Reserve over a run that is not there")
	h.none("a")
	h.put(runOf("a", 2, 3, operation(1, "x")))
	for _, replaces := range []string{"", "a#1", "a#20", "A#2"} {
		h.is(h.s.Reserve(background, runOf("a", 3, 0), replaces), lambdabiz.ErrStale, "Reserve over "+replaces)
		h.has("a", 2, 3, "x")
	}
}

func reserveTwice(h *harness) {
	h.reserve(runOf("a", 1, 0), "")
	h.reserve(runOf("a", 1, 0), "")
	h.put(runOf("a", 1, 4, operation(1, "x")))
	h.reserve(runOf("a", 1, 0), "")
	h.has("a", 1, 4, "x")
	h.reserve(runOf("a", 1, 9), "a#1")
	h.has("a", 1, 4, "x")
	h.reserve(runOf("a", 2, 0), "a#1")
	h.reserve(runOf("a", 2, 0), "a#1")
	h.has("a", 2, 0)
	h.is(h.s.Reserve(background, runOf("a", 1, 0), ""), lambdabiz.ErrStale, "Reserve of a run that was replaced")
	h.has("a", 2, 0)
}

func reserveVersion(h *harness) {
	h.put(runOf("a", 5, 3))
	for _, s := range []*lambdabiz.Snapshot{runOf("a", 4, 9), runOf("a", 5, 2), runOf("a", 5, 3)} {
		s.RunID = "another"
		h.is(h.s.Reserve(background, s, "a#5"), lambdabiz.ErrStale, fmt.Sprintf("Reserve of %v", s.Version))
		h.has("a", 5, 3)
	}
}

func reserveOperations(h *harness) {
	h.put(runOf("a", 1, 9, operation(1, "x"), operation(2, "y")))
	h.reserve(runOf("a", 2, 0), "a#1")
	h.has("a", 2, 0)
	h.put(runOf("a", 2, 1, operation(2, "z")))
	h.has("a", 2, 1, "z")
}

// race lets many callers reserve one id at once, by two handles, and expects that one wins.
func (h *harness) race(id, replaces string, from int) string {
	h.Helper()
	const callers = 16
	errs := make([]error, callers)
	begin := make(chan struct{})
	var group sync.WaitGroup
	for i := range callers {
		store := h.s
		if i%2 == 1 {
			store = h.other
		}
		group.Go(func() {
			<-begin
			errs[i] = store.Reserve(background, runOf(id, from+i, 0), replaces)
		})
	}
	close(begin)
	group.Wait()
	winner := ""
	for i, err := range errs {
		switch {
		case err == nil && winner != "":
			h.Fatalf("Reserve of %s: %s and another have won", id, winner)
		case err == nil:
			winner = runOf(id, from+i, 0).RunID
		case !errors.Is(err, lambdabiz.ErrStale):
			h.Fatalf("Reserve of %s: %v", id, err)
		}
	}
	if winner == "" {
		h.Fatalf("Reserve of %s: none of %d has won", id, callers)
	}
	want(h, h.get(id).RunID, winner, "run of "+id)
	return winner
}

func reserveMany(h *harness) {
	for i := range 8 {
		h.race(fmt.Sprint(i), "", 1)
	}
	want(h, len(h.list(lambdabiz.Filter{})), 8, "runs")
}

func reserveManyOver(h *harness) {
	winner := h.race("a", "", 1)
	for i := range 6 {
		winner = h.race("a", winner, 100*(i+1))
	}
	h.listed(lambdabiz.Filter{}, "all", winner)
}
