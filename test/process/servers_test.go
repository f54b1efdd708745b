package process_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// shaking is a test in which workers on PostgreSQL are killed and frozen, and the servers end at random moments: the primary
// in immediate mode, to come back, or for good, and its standby is promoted.
type shaking struct {
	*ledger
	random           *rand.Rand
	primary, standby *standin.Server
	workers          []*process
	undead           map[int]bool // processes that were taken for dead while they lived

	orders, lives                                 int
	kills, freezes, restarts, failovers, declared int
}

const crew = 3 // workers at a time

func newShaking(t *testing.T, how standin.Replication) *shaking {
	t.Helper()
	b := setupUnopened(t)
	primary := standin.Start(t, standin.Config{Quick: true})
	s := &shaking{
		random: campaign.Random(campaign.Seed(t), 0), undead: map[int]bool{},
		primary: primary, standby: primary.Standby(t, how),
	}
	b.url = standin.FailoverURL("postgres", s.primary, s.standby)
	b.open()
	s.ledger = newLedger(b)
	s.lenient, s.aside = true, time.Minute // a commit waits for as long as the server is away
	for range crew {
		s.workers = append(s.workers, s.recruit())
	}
	return s
}

func (s *shaking) recruit() *process {
	s.t.Helper()
	s.lives++
	return s.worker(args{Name: fmt.Sprintf("life %d", s.lives), Lease: shortLease, Parks: s.lives%3 == 0})
}

// TestPostgresFailsUnderWorkers: nothing that was acknowledged is lost, nothing is done twice, and all ends.
func TestPostgresFailsUnderWorkers(t *testing.T) {
	t.Parallel()
	s := newShaking(t, standin.Synchronous)
	orders := campaign.Rounds(t, 30, 5000)
	restarts, failovers := campaign.Rounds(t, 1, 20), campaign.Rounds(t, 1, 10)
	for round := range restarts + failovers {
		s.launch((orders - s.orders) / (restarts + failovers - round))
		s.liveOn()
		s.killOne()
		s.liveOn()
		s.freezeOneDuring(round%3 == 0, func() {
			if round < restarts {
				s.restart()
			} else {
				s.failOver()
			}
		})
		for _, p := range s.workers {
			s.acknowledge(p)
		}
		s.check()
	}
	s.finish()
	s.report()
}

// launch lets each worker start some of the new orders.
func (s *shaking) launch(n int) {
	s.t.Helper()
	for range n {
		s.workers[s.orders%crew].launch(orderID(s.orders), orderMoves(s.orders)...)
		s.orders++
	}
}

// liveOn raises events in some of what has started, and lets all live for some milliseconds more.
func (s *shaking) liveOn() {
	s.t.Helper()
	for _, p := range s.workers {
		s.acknowledge(p)
	}
	for n := range s.orders {
		id := orderID(n)
		if s.runIDs[id] != "" && s.outcomes[id] == "" && !s.approved[id] && s.random.IntN(3) == 0 {
			s.raiseIfOpen(id)
		}
	}
	<-time.After(time.Duration(20+s.random.IntN(130)) * time.Millisecond) // they get no warning
}

// killOne kills a worker, and has another one in its place.
func (s *shaking) killOne() {
	s.t.Helper()
	i := s.random.IntN(crew)
	s.workers[i].kill()
	s.kills++
	s.bury(s.workers[i])
	s.workers[i] = s.recruit()
}

// bury notes what a process that is gone has said.
func (s *shaking) bury(p *process) {
	s.t.Helper()
	s.acknowledge(p)
	if lives := p.said("joined"); lives > 1 {
		s.declared += lives - 1
		s.undead[p.cmd.Process.Pid] = true
	}
}

// freezeOneDuring freezes a worker for as long as something takes, or for longer than its lease.
func (s *shaking) freezeOneDuring(long bool, do func()) {
	s.t.Helper()
	p := s.workers[s.random.IntN(crew)]
	p.freeze()
	frozen := time.Now()
	s.freezes++
	do()
	if long {
		<-time.After(shortLease + time.Second) // others take over meanwhile
	}
	if time.Since(frozen) > shortLease/2 {
		s.undead[p.cmd.Process.Pid] = true
	}
	p.thaw()
}

func (s *shaking) restart() {
	s.t.Helper()
	if err := s.primary.Restart(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.restarts++
}

// failOver kills the primary, promotes its standby, and lets the dead one follow that.
func (s *shaking) failOver() {
	s.t.Helper()
	ctx := s.t.Context()
	if err := s.primary.Kill(ctx); err != nil {
		s.t.Fatal(err)
	}
	if err := s.standby.Promote(ctx); err != nil {
		s.t.Fatal(err)
	}
	s.failovers++
	s.primary, s.standby = s.standby, s.primary
	<-time.After(time.Duration(s.random.IntN(500)) * time.Millisecond) // the new one is alone for so long
	if err := s.standby.Follow(ctx, s.primary, standin.Synchronous); err != nil {
		s.t.Fatal(err)
	}
}

// finish starts what was not acknowledged again, waits for everything, and checks every outcome.
func (s *shaking) finish() {
	s.t.Helper()
	for n := range s.orders {
		if id := orderID(n); s.runIDs[id] == "" {
			s.workers[n%crew].launch(id, orderMoves(n)...)
		}
	}
	for n := range s.orders {
		id := orderID(n)
		if s.runIDs[id] == "" {
			s.runIDs[id] = s.awaitAny("started "+id, s.workers...).await("started " + id)
		}
		if !s.approved[id] {
			s.raiseIfOpen(id)
		}
	}
	for n := range s.orders {
		id := orderID(n)
		if got, want := s.result(id), orderResult(n); got != want {
			s.faultf("%s ended with %q, want %q", id, got, want)
		}
		if got := s.result(id + "~-note"); got != noteResult {
			s.faultf("%s~-note ended with %q, want %q", id, got, noteResult)
		}
	}
	for _, p := range s.workers {
		p.stop()
		if code := p.awaitExit(); code != 0 {
			s.faultf("%s ended with exit code %d", p.name, code)
		}
		s.bury(p)
	}
	s.checkAll()
}

// report says what happened.
func (s *shaking) report() {
	s.t.Helper()
	excused := s.judge(s.undead)
	s.complain()
	campaign.Report(s.t, "F25", []campaign.Count{
		{What: "kills", N: s.kills}, {What: "freezes", N: s.freezes}, {What: "restarts of the server", N: s.restarts},
		{What: "fail-overs", N: s.failovers}, {What: "orchestrations ended", N: s.ended()}, {What: "bodies cut", N: len(s.cut)},
	},
		campaign.Count{What: "workers declared dead that lived", N: s.declared},
		campaign.Count{What: "bodies of such", N: excused},
		campaign.Count{What: "lost", N: s.lost}, campaign.Count{What: "doubled", N: s.doubled})
}

// TestSabotagePostgresWithoutASynchronousStandby: the checks see what is lost when the standby that takes over has not all.
func TestSabotagePostgresWithoutASynchronousStandby(t *testing.T) {
	t.Parallel()
	s := newShaking(t, standin.Asynchronous)
	ctx := t.Context()
	if err := s.standby.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	s.launch(crew)
	for n, p := range s.workers {
		p.await("started " + orderID(n))
	}
	if err := s.primary.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.workers {
		p.kill()
		s.acknowledge(p)
	}
	if err := errors.Join(s.standby.Start(ctx), s.standby.Promote(ctx)); err != nil {
		t.Fatal(err)
	}
	s.check()
	campaign.Red(t, "F25", "the wait for the standby", strings.Join(s.faults, "\n"))
}
