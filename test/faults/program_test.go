package faults_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// program is a set of orchestrations that together do all that an orchestration can do.
type program struct {
	r     *rig
	items []lambdabiz.Registrable
	order *lambdabiz.Definition[int, int]
	sink  *lambdabiz.Definition[int, map[string]int]

	patience time.Duration // how long the timer is that must lose its race
	pace     time.Duration // between two events
}

// rounds is how many runs an order has, each continuing the one before.
const rounds = 2

// newProgram makes the program; its bodies tell the ledger.
func newProgram(r *rig, orders int) *program {
	p := &program{r: r, patience: 24 * time.Hour}
	body := func(ctx context.Context, v int) (int, error) {
		r.ledger.Body(ctx)
		rest(ctx, 20*time.Millisecond)
		info, _ := lambdabiz.TaskInfoFrom(ctx)
		if info.Attempt == 1 && v%2 == 1 {
			return 0, errUnlucky
		}
		return v, nil
	}
	task := lambdabiz.NewTask("double", func(ctx context.Context, v int) (int, error) {
		v, err := body(ctx, v)
		return 2 * v, err
	})
	again := lambdabiz.Retry(lambdabiz.Backoff{Attempts: -1, Initial: 50 * time.Millisecond, Jitter: -1})
	step := func(o lambdabiz.Context, id string, v int) (int, error) {
		return lambdabiz.Step(o, id, func(ctx context.Context) (int, error) { return body(ctx, v) }, again)
	}
	child := lambdabiz.Define("part", func(o lambdabiz.Context, v int) (int, error) {
		if err := lambdabiz.Sleep(o, "nap", 2*time.Second); err != nil {
			return 0, err
		}
		return lambdabiz.Call(o, "double", task, v, again)
	})
	p.order = lambdabiz.Define("order", func(o lambdabiz.Context, round int) (int, error) {
		sum, err := fanOut(o, child, step, round)
		if err != nil {
			return 0, err
		}
		if err := choose(o, round, p.patience); err != nil {
			return 0, err
		}
		if err := lambdabiz.RaiseEvent(o, "tell", "sink", "done", fmt.Sprint(o.ID(), " ", round)); err != nil {
			return 0, err
		}
		if round+1 < rounds {
			return 0, lambdabiz.ContinueAsNew(o, round+1)
		}
		return sum, nil
	})
	p.sink = lambdabiz.Define("sink", func(o lambdabiz.Context, _ int) (map[string]int, error) {
		seen := map[string]int{}
		for i := range orders * rounds {
			v, err := lambdabiz.WaitForEvent[string](o, fmt.Sprint("w", i), lambdabiz.Named("done"))
			if err != nil {
				return nil, err
			}
			seen[v]++
		}
		return seen, nil
	})
	p.items = []lambdabiz.Registrable{p.order, p.sink, child, task}
	return p
}

// fanOut works on three items, two at a time: one of them in a child.
func fanOut(
	o lambdabiz.Context, child *lambdabiz.Definition[int, int],
	step func(o lambdabiz.Context, id string, v int) (int, error), round int,
) (int, error) {
	parts, err := lambdabiz.Map(o, "parts", []int{1, 2, 3}, func(n int) string { return fmt.Sprint(n) },
		func(o lambdabiz.Context, n int) (int, error) {
			v, err := step(o, "a", n)
			if err != nil || n != 2 {
				return v, err
			}
			return lambdabiz.CallChild(o, "part", child, v, lambdabiz.ChildID(fmt.Sprint(o.ID(), ".", round)))
		}, lambdabiz.Concurrency(2))
	sum := 0
	for _, v := range parts {
		sum += v
	}
	return sum, err
}

var errWrong = errors.New("wrong")

// choose waits for the round's event, which wins over a timer, and for one that never comes.
func choose(o lambdabiz.Context, round int, patience time.Duration) error {
	event := lambdabiz.Go(o, "event", func(o lambdabiz.Context) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "next", lambdabiz.Named("next"))
	})
	timer := lambdabiz.Go(o, "timer", func(o lambdabiz.Context) (int, error) { return -1, lambdabiz.Sleep(o, "day", patience) })
	if i, err := lambdabiz.Race(o, "race", event, timer); i != 0 || err != nil {
		return fmt.Errorf("%w: race %d, %w", errWrong, i, err)
	}
	if v, err := event.Wait(o); v != round || err != nil {
		return fmt.Errorf("%w: event %d in round %d, %w", errWrong, v, round, err)
	}
	_, err := lambdabiz.WaitForEvent[int](o, "never", lambdabiz.Timeout(time.Second))
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no time-out: %w", errWrong, err)
	}
	return nil
}

// wanted is the result of an order.
const wanted = 1 + 4 + 3

// orderIDs are the ids of n orders.
func orderIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("order-", i)
	}
	return ids
}

// send starts everything and raises every event through a client, insisting on each, in the ledger.
func (p *program) send(ctx context.Context, client *lambdabiz.Engine, ids []string) bool {
	l := p.r.ledger
	started := insist(ctx, func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, client, p.sink, "sink", 0)
		if err == nil {
			l.Started("sink", run.RunID())
		}
		return err
	})
	for _, id := range ids {
		started = started && insist(ctx, func(ctx context.Context) error {
			run, err := lambdabiz.Start(ctx, client, p.order, id, 0)
			if err == nil {
				l.Started(id, run.RunID())
			}
			return err
		})
	}
	for round := range rounds {
		for _, id := range ids {
			key := fmt.Sprint("next ", round)
			rest(ctx, p.pace)
			payload := lambdabiz.Payload(fmt.Sprint(round))
			started = started && insist(ctx, func(ctx context.Context) error {
				acknowledged := l.Raising(id, "next", key, payload)
				err := client.RaiseEvent(ctx, id, "next", payload, lambdabiz.Key(key))
				if err == nil {
					acknowledged()
				}
				return err
			})
		}
	}
	return started
}

// verdict compares the outcomes with what they must be.
func (p *program) verdict(client *lambdabiz.Engine, ids []string) error {
	if err := p.r.outcomes(client, append(ids, "sink")...); err != nil {
		return err
	}
	ctx := context.Background()
	for _, id := range ids {
		if v, err := lambdabiz.Get(client, p.order, id).Result(ctx); err != nil || v != wanted {
			return fmt.Errorf("%s gave %d, want %d: %w", id, v, wanted, err)
		}
	}
	seen, err := lambdabiz.Get(client, p.sink, "sink").Result(ctx)
	if err != nil || len(seen) != len(ids)*rounds {
		return fmt.Errorf("the sink has seen %v: %w", seen, err)
	}
	return nil
}
