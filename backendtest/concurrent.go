package backendtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/lambdabiz/lambdabiz"
)

var concurrentChecks = []check{
	{name: "concurrent/workers, senders and deaths", run: func(h *harness) { h.must(concurrent(h.b), "run") }},
}

const (
	crowdIDs     = 6
	crowdSenders = 2
	crowdEvents  = 8 // of each sender to each id
	crowdWorkers = 3
	crowdName    = "crowd"
)

// crowd is workers and senders on the same few ids at once. Each run records its events as operations
// and ends when it has all of them; now and then a worker dies holding a run, unless only time shows that.
type crowd struct {
	b       lambdabiz.Backend
	home    lambdabiz.Description
	sending atomic.Int64
	created [crowdIDs]atomic.Int64
	deaths  atomic.Int64

	// A sender goes on only after a worker has been round once more: else a fast sender is done before
	// the first claim, and nothing meets.
	rounds chan struct{}
	failed chan struct{}
	once   sync.Once
}

// concurrent returns what was broken of: one run for each id (I1), every acknowledged event consumed
// once and in its sender's order (I2, I4), one outcome (I3), no run without a reason to wake (I6), no
// write under an old fence (I7).
func concurrent(b lambdabiz.Backend) error {
	c := &crowd{b: b, home: b.Describe(), rounds: make(chan struct{}), failed: make(chan struct{})}
	c.sending.Store(crowdSenders)
	errs := make([]error, crowdSenders+crowdWorkers)
	var wg sync.WaitGroup
	for i := range crowdSenders {
		wg.Go(func() {
			defer c.sending.Add(-1)
			errs[i] = c.send(i)
		})
	}
	for i := range crowdWorkers {
		wg.Go(func() {
			if err := c.work(rand.New(rand.NewPCG(uint64(i), 1))); err != nil {
				errs[crowdSenders+i] = err
				c.once.Do(func() { close(c.failed) })
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if c.deaths.Load() == 0 && !c.home.Supervised {
		return errors.New("no worker died: the fence was not tried")
	}
	for i := range crowdIDs {
		if err := c.verify(i); err != nil {
			return err
		}
	}
	return nil
}

func crowdID(i int) string { return fmt.Sprintf("crowd-%d", i) }

// send starts every id and raises its events, each of them twice under its key.
func (c *crowd) send(sender int) error {
	for n := range crowdEvents {
		if n > 0 {
			select {
			case <-c.rounds:
			case <-c.failed:
				return nil // the worker says why
			}
		}
		for i := range crowdIDs {
			commit := &lambdabiz.Commit{At: at(n)}
			if n == 0 {
				commit.Starts = []lambdabiz.RunStart{{ID: crowdID(i), RunID: fmt.Sprintf("run-%d-%d", i, sender), Name: crowdName}}
			}
			event := lambdabiz.Raise{ID: crowdID(i), Name: "e", Key: fmt.Sprintf("%d-%d", sender, n)}
			event.Payload = lambdabiz.Payload(event.Key)
			commit.Raises = []lambdabiz.Raise{event}
			repeat := &lambdabiz.Commit{At: at(n), Raises: commit.Raises}
			for _, one := range []*lambdabiz.Commit{commit, repeat} {
				v, err := c.b.Commit(background, []*lambdabiz.Commit{one})
				if err != nil {
					return fmt.Errorf("commit of a sender: %w", err)
				}
				if err := errors.Join(v[0].Err, v[0].Raises[0].Err); err != nil {
					return fmt.Errorf("raise of %s: %w", event.Key, err)
				}
				if len(v[0].Starts) > 0 && v[0].Starts[0].Created {
					c.created[i].Add(1)
				}
			}
		}
	}
	return nil
}

// work claims until the senders are done and nothing is due. Whoever releases a run looks again
// afterwards, so a run that is due is never left behind, unless a wake-up was lost.
func (c *crowd) work(random *rand.Rand) error {
	worker, err := c.join()
	if err != nil {
		return err
	}
	for {
		last := c.sending.Load() == 0
		claims, err := c.b.Claim(background, lambdabiz.ClaimRequest{
			Worker: worker, Names: []string{crowdName}, Limit: 2, Now: at(1000),
		})
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		if last && len(claims.Runs) == 0 && (!claims.More || !c.home.LongPoll) {
			return nil
		}
		if len(claims.Runs) > 0 && !c.home.Supervised && (c.deaths.Load() == 0 || random.IntN(6) == 0) {
			if err := c.die(worker, claims.Runs); err != nil {
				return err
			}
			if worker, err = c.join(); err != nil {
				return err
			}
			continue
		}
		for _, run := range claims.Runs {
			if err := c.handle(worker, run); err != nil {
				return fmt.Errorf("run %s: %w", run.ID, err)
			}
		}
		select {
		case c.rounds <- struct{}{}:
		default: // no sender waits
		}
	}
}

func (c *crowd) join() (int64, error) {
	return c.b.Join(background, lambdabiz.WorkerInfo{Names: []string{crowdName}})
}

// die removes the worker, which then tries to write all the same.
func (c *crowd) die(worker int64, runs []lambdabiz.Claimed) error {
	c.deaths.Add(1)
	if err := removeDead(c.b, worker); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	for _, run := range runs {
		zombie := operation(1000)
		v, err := c.b.Commit(background, []*lambdabiz.Commit{{
			Run: &run.Ref, Worker: worker, At: at(1), Operations: []lambdabiz.Operation{zombie},
		}})
		if err != nil {
			return fmt.Errorf("commit of a removed worker: %w", err)
		}
		if !errors.Is(v[0].Err, lambdabiz.ErrFenced) {
			return fmt.Errorf("commit of a removed worker: verdict %v, want ErrFenced", v[0].Err) //nolint:errorlint // it may be nil
		}
	}
	return nil
}

// handle records the run's messages and lets it go, in one commit that has seen all of them.
func (c *crowd) handle(worker int64, run lambdabiz.Claimed) error {
	messages := run.Messages
	for {
		commit := &lambdabiz.Commit{Run: &run.Ref, Worker: worker, At: at(1), Started: true, Conditional: true}
		number := int64(len(run.Operations))
		for _, m := range messages {
			number++
			o := operation(number)
			o.ID, o.Kind, o.Result = m.Key, lambdabiz.KindEvent, m.Payload
			commit.Operations = append(commit.Operations, o)
			commit.Consumed = append(commit.Consumed, m.Number)
			commit.Seen = m.Number
		}
		if number == crowdSenders*crowdEvents {
			commit.Close = &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}
		} else {
			commit.Release = &lambdabiz.Release{}
		}
		v, err := c.b.Commit(background, []*lambdabiz.Commit{commit})
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		if !errors.Is(v[0].Err, lambdabiz.ErrStale) {
			return v[0].Err
		}
		if c.home.CloseOnlyConditional && !v[0].Held {
			return nil // it is due again
		}
		if len(v[0].Messages) == 0 {
			return errors.New("ErrStale without the newer messages")
		}
		messages = append(messages, v[0].Messages...)
	}
}

func (c *crowd) verify(i int) error {
	if n := c.created[i].Load(); n != 1 {
		return fmt.Errorf("%s was created %d times", crowdID(i), n)
	}
	r, err := c.b.Load(background, crowdID(i), "")
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if r.Status != lambdabiz.StatusSucceeded {
		return fmt.Errorf("%s is %v with %d operations and %d messages: nothing will wake it",
			r.ID, r.Status, len(r.Operations), len(r.Messages))
	}
	if len(r.Messages) > 0 || len(r.Operations) != crowdSenders*crowdEvents {
		return fmt.Errorf("%s: %d operations, %d messages left", r.ID, len(r.Operations), len(r.Messages))
	}
	var next [crowdSenders]int
	for _, o := range r.Operations {
		var sender, n int
		if _, err := fmt.Sscanf(string(o.Result), "%d-%d", &sender, &n); err != nil {
			return fmt.Errorf("%s: result %q: %w", r.ID, o.Result, err)
		}
		if n != next[sender] {
			return fmt.Errorf("%s: event %d of sender %d in the place of event %d", r.ID, n, sender, next[sender])
		}
		next[sender]++
	}
	return nil
}
