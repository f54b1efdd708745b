package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// timers is W5. A timer's lateness is from when it was due, as recorded, until the code behind it went on. The
// limits are measured before and after: a timer does not wait for them.
func timers(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	var mu sync.Mutex
	passed := make(map[string]time.Time, b.n)
	alarm := lambdabiz.Define("Alarm", func(o lambdabiz.Context, in int) (int, error) {
		err := lambdabiz.Sleep(o, "Timer", 2*time.Second)
		at := time.Now()
		mu.Lock()
		defer mu.Unlock()
		passed[o.ID()] = at
		return in, err
	})
	err := b.work(ctx, lambdabiz.Config{}, []lambdabiz.Registrable{alarm},
		func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
			p.off = true
			var begun time.Time
			took, err := p.during(func() error {
				begun = time.Now()
				return b.alarms(ctx, e, alarm)
			})
			if err != nil {
				return err
			}
			m["all_done_s"] = took.Seconds()
			return lateness(ctx, b, e, begun, passed, m)
		})
	b.limits.add(m)
	return m, err
}

// alarms starts all orchestrations, and waits until they have ended.
func (b *bed) alarms(ctx context.Context, e *lambdabiz.Engine, alarm *lambdabiz.Definition[int, int]) error {
	runs := make([]*lambdabiz.Run[int], b.n)
	err := each(ctx, b.n, func(i int) error {
		var err error
		runs[i], err = lambdabiz.Start(ctx, e, alarm, fmt.Sprintf("alarm-%d", i), i)
		return err //nolint:wrapcheck // it names the orchestration
	})
	if err != nil {
		return err
	}
	for i, run := range runs {
		got, err := run.Result(ctx)
		if err == nil && got != i {
			err = fmt.Errorf("%s ended with %d, want %d", run.ID(), got, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lateness compares when the code went on with what is recorded.
func lateness(
	ctx context.Context, b *bed, e *lambdabiz.Engine, begun time.Time, passed map[string]time.Time, m figures,
) error {
	late := make([]time.Duration, 0, b.n)
	var last time.Time
	for id, at := range passed {
		s, err := e.State(ctx, id)
		if err != nil {
			return err //nolint:wrapcheck // it names the orchestration
		}
		if len(s.Operations) != 1 || s.Operations[0].Kind != lambdabiz.KindTimer {
			return fmt.Errorf("%s has the operations %v, want one timer", id, s.Operations)
		}
		o := s.Operations[0]
		if at.Before(o.DueAt) {
			return fmt.Errorf("the timer of %s was %v early", id, o.DueAt.Sub(at))
		}
		late = append(late, at.Sub(o.DueAt))
		if o.ScheduledAt.After(last) {
			last = o.ScheduledAt
		}
	}
	if len(late) != b.n {
		return errors.New("not every orchestration has come to its end")
	}
	m["last_timer_created_s"] = last.Sub(begun).Seconds()
	m["late_ms_p50"] = millis(quantile(late, 0.5))
	m["late_ms_p99"] = millis(quantile(late, 0.99))
	m["late_ms_max"] = millis(quantile(late, 1))
	return nil
}
