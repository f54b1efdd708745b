package swf

import (
	"context"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
)

// completer makes answers of drafts.
type completer struct {
	plans     plan.Config
	registry  *registry
	histories *histories
	starts    *starter
	events    *events
	controls  *controls
}

// commit is the answer that carries a commit.
func (p *completer) commit(ctx context.Context, h *handle, c *lambdabiz.Commit) (*plan.Answer, error) {
	return p.complete(ctx, h, plan.Commit(p.plans, h.planned(), c), c)
}

// later is the answer to a decision task that cannot close the run.
func (p *completer) later(ctx context.Context, h *handle, c *lambdabiz.Commit) (*plan.Answer, error) {
	return p.complete(ctx, h, plan.Later(p.plans, h.planned(), c), c)
}

// pass is the answer to a decision task that the engine need not see.
func (p *completer) pass(ctx context.Context, h *handle) (*plan.Answer, error) {
	return p.complete(ctx, h, plan.Pass(p.plans, h.planned()), nil)
}

// complete fetches what a draft wants from outside, and makes sure that the types of its answer are registered. The commit
// is nil when the draft is of none.
func (p *completer) complete(ctx context.Context, h *handle, d *plan.Draft, c *lambdabiz.Commit) (*plan.Answer, error) {
	found := plan.Found{Reserved: map[int]plan.Reserved{}, Raised: map[int]error{}, Children: map[int64]string{}}
	for _, r := range d.Wants.Reserve {
		reserved, err := p.starts.reserveChild(ctx, r.Start, c.At)
		if err != nil {
			return nil, err
		}
		found.Reserved[r.Index] = reserved
	}
	for _, i := range d.Wants.Raises {
		err := p.events.raise(ctx, &c.Raises[i], c.At)
		if !plan.IsRaiseVerdict(err) {
			return nil, err
		}
		found.Raised[i] = err
	}
	for _, i := range d.Wants.Controls {
		if err := p.controls.control(ctx, &c.Controls[i]); err != nil {
			return nil, err
		}
	}
	for _, o := range d.Wants.Children {
		home, err := p.histories.newestOf(ctx, h.fold, o)
		if err != nil {
			return nil, err
		}
		found.Children[o.Number] = home
	}
	a, err := d.Answer(found, time.Now())
	if err != nil {
		return nil, err
	}
	for _, t := range a.Types {
		if err := p.registry.register(ctx, t); err != nil {
			return nil, err
		}
	}
	return a, nil
}
