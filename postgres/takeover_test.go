package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// Six processes work, start, and take over from each other at any moment, also in the middle of a commit. Those that were taken for
// dead do not know it, and go on. What was acknowledged is there, nobody has written into what somebody else had taken, and
// no run is left to a worker that is not there.
func TestTakeOversAtAnyMoment(t *testing.T) {
	t.Parallel()
	f := takeOvers(t, func(*postgres.Backend) {})
	if f.fault != "" {
		t.Error(f.fault)
	}
	t.Logf("%d commits, %d starts, %d take-overs, %d more in a commit, %d writes refused",
		f.commits, f.starts, f.takeOvers, f.inCommits, f.fenced)
	if f.inCommits == 0 || f.fenced == 0 {
		t.Error("nothing was tried")
	}
}

func TestSabotageTakeOversWithoutTheLaneLock(t *testing.T) {
	t.Parallel()
	campaign.Red(t, "F5", "the lock of the lane", takeOvers(t, (*postgres.Backend).WithoutLaneLock).fault)
}

// fray is what six processes do to each other.
type fray struct {
	t   *testing.T
	url string

	mu                                            sync.Mutex
	acknowledged                                  map[string]map[int64]string // what was written, by run and operation
	workers                                       []int64                     // all that have ever joined
	fault                                         string
	commits, starts, takeOvers, inCommits, fenced int
}

// fighter is one process.
type fighter struct {
	*fray

	b      *postgres.Backend
	random *rand.Rand
	name   string
	worker int64
	held   map[string]lambdabiz.RunRef
	next   map[string]int64
	staged bool // the next commit is one in which another process takes over
	ended  chan struct{}
	gone   bool // that has ended before the commit
}

func takeOvers(t *testing.T, sabotage func(*postgres.Backend)) *fray {
	t.Helper()
	seed := campaign.Seed(t)
	f := &fray{t: t, url: database(t), acknowledged: map[string]map[int64]string{}}
	var all sync.WaitGroup
	for i := range 6 {
		p := &fighter{
			fray: f, b: open(t, f.url), random: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint("process-", i),
			held: map[string]lambdabiz.RunRef{}, next: map[string]int64{},
		}
		sabotage(p.b)
		other := open(t, f.url)
		p.b.BeforeCommit(func(conn *pgx.Conn) { p.stage(other, conn) })
		all.Go(func() {
			p.join()
			for range 50 {
				p.act()
			}
		})
	}
	all.Wait()
	f.judge()
	return f
}

func (f *fray) complainf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == "" {
		f.fault = fmt.Sprintf(format, args...)
	}
}

func (f *fray) count(what *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*what++
}

func (p *fighter) join() {
	worker, err := p.b.Join(p.t.Context(), lambdabiz.WorkerInfo{Names: []string{"Order"}, Version: "v1"})
	if err != nil {
		p.complainf("join: %v", err)
		return
	}
	p.worker = worker
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers = append(p.workers, worker)
}

// stage has another process take over in the middle of a commit, and returns when it waits for this one, or has not waited.
func (p *fighter) stage(other *postgres.Backend, conn *pgx.Conn) {
	if !p.staged {
		return
	}
	p.staged = false
	p.count(&p.inCommits)
	ended := make(chan struct{})
	p.ended = ended
	worker := p.worker
	var left error
	go func() {
		defer close(ended)
		if left = other.Leave(context.Background(), worker, 0); left != nil && !errors.Is(left, lambdabiz.ErrStale) {
			p.complainf("leave: %v", left)
		}
	}()
	waitUntilWaitedFor(p.t, p.url, conn.PgConn().PID(), ended)
	select {
	case <-ended:
		p.gone = left == nil
	default:
	}
}

func (p *fighter) act() {
	switch n := p.random.IntN(10); {
	case n < 3:
		p.start()
	case n < 5:
		p.claim()
	case n < 9:
		p.write()
	default:
		p.takeOver()
	}
}

func (p *fighter) commit(commits ...*lambdabiz.Commit) []lambdabiz.Verdict {
	for _, c := range commits {
		c.At, c.Worker = moment, p.worker
	}
	p.staged, p.gone = p.random.IntN(5) == 0, false
	verdicts, err := p.b.Commit(p.t.Context(), commits)
	p.staged = false
	for _, v := range verdicts {
		if v.Err == nil && p.gone {
			p.complainf("%s has written what was committed after it was removed", p.name)
		}
	}
	if p.ended != nil {
		<-p.ended
		p.ended = nil
	}
	p.count(&p.commits)
	if err != nil {
		p.complainf("commit: %v", err)
		return make([]lambdabiz.Verdict, len(commits))
	}
	return verdicts
}

func (p *fighter) start() {
	id := fmt.Sprint(p.name, "-", p.random.Uint64())
	v := p.commit(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{startOf(id)}})[0]
	switch {
	case errors.Is(v.Err, lambdabiz.ErrFenced):
		p.count(&p.fenced)
		p.join()
	case v.Err != nil:
		p.complainf("start: %v", v.Err)
	case len(v.Starts) == 1 && v.Starts[0].Created:
		p.count(&p.starts)
		p.acknowledge(id, nil)
		p.held[id], p.next[id] = v.Starts[0].Run, 1
	}
}

// acknowledge notes that a run is there, and an operation of it.
func (f *fray) acknowledge(id string, o *lambdabiz.Operation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.acknowledged[id] == nil { // somebody else may have taken it already
		f.acknowledged[id] = map[int64]string{}
	}
	if o != nil {
		f.acknowledged[id][o.Number] = string(o.Result)
	}
}

// claim takes runs, and sees in them all that was acknowledged before.
func (p *fighter) claim() {
	before := map[string]int{}
	p.mu.Lock()
	for id, written := range p.acknowledged {
		before[id] = len(written)
	}
	p.mu.Unlock()
	claims, err := p.b.Claim(p.t.Context(), lambdabiz.ClaimRequest{Worker: p.worker, Names: []string{"Order"}, Limit: 3, Now: moment})
	switch {
	case errors.Is(err, lambdabiz.ErrFenced):
		p.count(&p.fenced)
		p.join()
	case err != nil:
		p.complainf("claim: %v", err)
	}
	for i := range claims.Runs {
		r := &claims.Runs[i]
		if len(r.Operations) < before[r.ID] {
			p.complainf("%s was claimed with %d operations of %d", r.ID, len(r.Operations), before[r.ID])
		}
		p.held[r.ID], p.next[r.ID] = r.Ref, int64(len(r.Operations)+1)
	}
}

// write writes an operation into each of a few runs that the process holds, or believes to.
func (p *fighter) write() {
	ids := make([]string, 0, len(p.held))
	for id := range p.held {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	p.random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), 1+p.random.IntN(4))]
	if len(ids) == 0 {
		return
	}
	var commits []*lambdabiz.Commit
	for _, id := range ids {
		ref := p.held[id]
		o := operation(p.next[id])
		o.Result = lambdabiz.Payload(fmt.Sprintf(`"%08d %s"`, ref.Fence, p.name))
		c := &lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{o}}
		if p.random.IntN(4) == 0 {
			c.Release = &lambdabiz.Release{WakeAt: moment}
		}
		commits = append(commits, c)
	}
	for i, v := range p.commit(commits...) {
		id, c := ids[i], commits[i]
		if v.Err == nil {
			p.acknowledge(id, &c.Operations[0])
			p.next[id]++
		} else if !errors.Is(v.Err, lambdabiz.ErrFenced) {
			p.complainf("write: %v", v.Err)
		}
		if v.Err != nil || c.Release != nil {
			delete(p.held, id)
		}
		if v.Err != nil {
			p.count(&p.fenced)
		}
	}
}

func (p *fighter) takeOver() {
	p.mu.Lock()
	victim := p.workers[p.random.IntN(len(p.workers))]
	p.mu.Unlock()
	if err := p.b.Leave(p.t.Context(), victim, 0); err != nil && !errors.Is(err, lambdabiz.ErrStale) {
		p.complainf("take over: %v", err)
	}
	p.count(&p.takeOvers)
}

// judge looks at what is left.
func (f *fray) judge() {
	b := open(f.t, f.url)
	registered := map[int64]bool{0: true}
	workers, err := b.Workers(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, w := range workers {
		registered[w.Number] = true
	}
	for id, written := range f.acknowledged {
		r, err := b.Load(f.t.Context(), id, "")
		if err != nil {
			f.complainf("load: %v", err)
			continue
		}
		if !registered[r.Worker] {
			f.complainf("%s is held by worker %d, which is not there", id, r.Worker)
		}
		last, found := "", map[int64]string{}
		for i := range r.Operations {
			o := &r.Operations[i]
			by, _, _ := strings.Cut(string(o.Result), " ")
			if found[o.Number] = string(o.Result); by < last {
				f.complainf("%s: a former holder has written operation %d", id, o.Number)
			}
			last = by
		}
		for number, result := range written {
			if found[number] != result {
				f.complainf("%s: operation %d is %q, and %q was acknowledged", id, number, found[number], result)
			}
		}
	}
}
