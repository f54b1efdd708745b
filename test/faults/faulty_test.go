package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/invariant"
	"github.com/lambdabiz/lambdabiz/test/campaign"
	"github.com/lambdabiz/lambdabiz/test/faulty"
)

// storm is what a store that fails has done.
type storm struct {
	faults, calls, ended, repeats int
	kinds                         [faulty.Again + 1]int
	healed                        int // rounds in which not all had ended before the faults ended
}

func (s *storm) add(f *faulty.Faults) {
	s.faults += f.Total()
	s.calls += f.Calls()
	for k := range s.kinds {
		s.kinds[k] += f.Struck(faulty.Kind(k))
	}
}

// faultyRound runs the program on a store that fails, with one worker or two, and judges what is left. over is put
// between the store and the faults; nil for nothing.
func faultyRound(
	t *testing.T, h home, random *rand.Rand, percent int, s *storm, over func(b lambdabiz.Backend) lambdabiz.Backend,
) (complaint string) {
	t.Helper()
	inBubble(t, h, func(r *rig) {
		const orders = 3
		workers := 1 + random.IntN(2)
		r.ledger.Overlaps = workers > 1
		f := faulty.New(rand.New(rand.NewPCG(random.Uint64(), 1)), percent, 2*time.Second)
		view := r.store
		if over != nil {
			view = over(view)
		}
		b := faulty.Wrap(r.ledger.Watch(view), f)
		p := newProgram(r, orders)
		ids := orderIDs(orders)
		client := r.engine(b)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		sent := make(chan bool, 1)
		go func() { sent <- p.send(ctx, client, ids) }()
		stops := make([]func(), workers)
		for i := range stops {
			stops[i] = r.work(b, p.items...)
		}
		for range 4 { // workers come and go
			r.sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
			i := random.IntN(workers)
			stops[i]()
			complaint += r.judgeMidway()
			stops[i] = r.work(b, p.items...)
		}
		r.waitForAll(2 * time.Minute)
		if r.open() > 0 {
			s.healed++
		}
		f.Heal()
		r.waitForAll(10 * time.Minute)
		cancel()
		<-sent
		for _, stop := range stops {
			stop()
		}
		r.sleep(time.Minute) // what was given up at the end of a worker comes to its end
		s.add(f)
		s.repeats += r.ledger.Repeats()
		clean := r.engine(r.store)
		if err := p.verdict(clean, ids); err != nil {
			complaint += err.Error() + "\n"
		} else {
			s.ended += len(ids) + 1
		}
		complaint += r.judge(invariant.Options{Ended: true})
	})
	return complaint
}

// judgeMidway compares the store with the ledger while clients and workers go on: what has come back since must
// stay. Events that are on their way are looked at in the end.
func (r *rig) judgeMidway() string {
	r.t.Helper()
	found, err := r.ledger.Check(context.Background(), r.store)
	if err != nil {
		r.t.Fatal(err)
	}
	text := invariant.Text(found)
	if text != "" {
		text += "\n"
	}
	return text
}

var faultyHomes = []home{inMemory, endsHere, onDisk}

// A store that fails at 1 to 50 of 100 calls loses nothing, doubles nothing, and everything ends once it is well.
func TestFaultyStoreLosesNothing(t *testing.T) {
	t.Parallel()
	seed := campaign.Seed(t)
	for _, h := range faultyHomes {
		for _, percent := range []int{1, 5, 20, 50} {
			t.Run(fmt.Sprint(h.name, " ", percent), func(t *testing.T) {
				t.Parallel()
				short, full := 3, 500
				if h.name == onDisk.name {
					short, full = 1, 100
				}
				s := &storm{}
				n := campaign.Rounds(t, short, full)
				must := func() []campaign.Count {
					return []campaign.Count{{What: "faults", N: s.faults}, {What: "ended", N: s.ended}}
				}
				for round := range campaign.More(n, must) {
					complaint := faultyRound(t, h, campaign.Random(seed, round*100+percent), percent, s, nil)
					if complaint != "" {
						t.Fatalf("round %d: %s", round, complaint)
					}
				}
				also := []campaign.Count{
					{What: "rounds", N: n}, {What: "calls", N: s.calls}, {What: "repeated bodies", N: s.repeats},
					{What: "rounds healed early", N: s.healed},
				}
				for k, struck := range s.kinds {
					also = append(also, campaign.Count{What: "calls " + faulty.Kind(k).String(), N: struck})
				}
				campaign.Report(t, "F29", must(), also...)
			})
		}
	}
}
