package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
)

// diagnoseSWF looks at the configuration first: when that does not work, nothing else can be asked. SWF wakes runs
// by itself, so what is left is what is blocked and what nobody takes.
func (a *app) diagnoseSWF(ctx context.Context, p *target, grace time.Duration) error {
	c, err := a.swfConfig(ctx, p)
	if err != nil {
		return err
	}
	d := &diagnosis{Workers: []lambdabiz.WorkerRecord{}, Problems: []problem{}, hidden: true}
	works := true
	for _, k := range swf.CheckConfig(ctx, c) {
		v := check{Name: k.Name, Detail: k.Detail}
		if k.Err != nil {
			v.Problem = k.Err.Error()
			works = works && k.Name == "lambda role"
		}
		d.Checks = append(d.Checks, v)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !works {
		return a.report(d)
	}
	return a.with(ctx, func(s *store) error {
		if err := d.findBlocked(ctx, s); err != nil {
			return err
		}
		if err := d.findUnserved(ctx, s.swf, grace); err != nil {
			return err
		}
		return a.report(d)
	})
}

// findBlocked looks at every open run: SWF's lists do not say it.
func (d *diagnosis) findBlocked(ctx context.Context, s *store) error {
	f := lambdabiz.Filter{
		Status: []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}, Limit: 1000,
	}
	for more := true; more; more = f.Cursor != "" {
		page, err := s.List(ctx, f)
		if err != nil {
			return err
		}
		f.Cursor = page.Next
		for i := range page.Runs {
			state, err := s.StateOf(ctx, page.Runs[i].ID, page.Runs[i].RunID)
			if errors.Is(err, lambdabiz.ErrNotFound) || err == nil && state.Status.Ended() {
				continue
			}
			if err != nil {
				return err
			}
			d.Open++
			if state.Paused {
				d.Paused++
			}
			if state.Blocked != nil && state.Blocked.Times > 0 {
				d.Problems = append(d.Problems, *blockedProblem(state))
			}
		}
	}
	return nil
}

func (d *diagnosis) findUnserved(ctx context.Context, b *swf.Backend, grace time.Duration) error {
	found, err := b.Unserved(ctx, grace)
	if err != nil {
		return err
	}
	for _, u := range found {
		p := problem{ID: u.ID, Name: u.Name, RunID: u.RunID, Since: u.Since}
		what, hint := "it", "start a worker that serves task list "+u.TaskList
		switch u.Kind {
		case lambdabiz.KindTask:
			what = "task " + u.Operation
		case lambdabiz.KindService:
			what = "REST call " + u.Operation
			hint = "lambdabiz rest-worker --queue " + strings.TrimSuffix(u.TaskList, ".rest")
		default:
		}
		d.Problems = append(d.Problems, *p.is(problemUnserved, fmt.Sprintf("%s has waited on task list %s for %s, and no worker takes it",
			what, u.TaskList, short(time.Since(u.Since))), hint))
	}
	return nil
}
