package faulty

import (
	"context"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Clock is how the clock of a worker or a client differs from that of the machine.
type Clock struct {
	In  time.Duration // what is taken off from the times that are read
	Out time.Duration // what is put on the times that are written
}

// Fast returns a clock that is fast, or slow if by is negative. A time on it means to its owner what the same time
// means to everybody: only "now" differs.
func Fast(by time.Duration) Clock { return Clock{In: by, Out: by} }

// Skew returns the backend as somebody sees and writes it whose clock is another one. An engine reads the clock
// of its machine; so every time that it writes is moved on, and every time that it reads is moved back. Times in
// messages of errors stay. The clock cannot be changed while an engine is on it: what that has in memory would move
// too. The Waker of the backend stays; Queue and Purge are as they are.
func Skew(b lambdabiz.Backend, c Clock) lambdabiz.Backend {
	s := &skewed{Backend: b, clock: c}
	if waker, wakes := b.(lambdabiz.Waker); wakes {
		return struct {
			*skewed
			lambdabiz.Waker
		}{s, waker}
	}
	return s
}

type skewed struct {
	lambdabiz.Backend
	clock Clock
}

// move moves times that are set.
func move(d time.Duration, times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
}

func moveOperations(d time.Duration, operations []lambdabiz.Operation) []lambdabiz.Operation {
	moved := slices.Clone(operations)
	for i := range moved {
		o := &moved[i]
		move(d, &o.ScheduledAt, &o.StartedAt, &o.EndedAt, &o.DueAt, &o.ExpiresAt)
	}
	return moved
}

func moveMessages(d time.Duration, messages []lambdabiz.Message) []lambdabiz.Message {
	moved := slices.Clone(messages)
	for i := range moved {
		move(d, &moved[i].ArrivedAt)
	}
	return moved
}

func moveBlocked(d time.Duration, b *lambdabiz.Blocked) *lambdabiz.Blocked {
	if b == nil {
		return nil
	}
	moved := *b
	move(d, &moved.Since, &moved.RetryAt)
	return &moved
}

func moveInfo(d time.Duration, i lambdabiz.RunInfo) lambdabiz.RunInfo {
	i.Blocked = moveBlocked(d, i.Blocked)
	move(d, &i.ScheduledAt, &i.StartedAt, &i.EndedAt, &i.Deadline, &i.WakeAt)
	return i
}

func moveRecord(d time.Duration, r lambdabiz.Record) lambdabiz.Record {
	return lambdabiz.Record{
		RunInfo: moveInfo(d, r.RunInfo), Operations: moveOperations(d, r.Operations), Messages: moveMessages(d, r.Messages),
	}
}

// Claim asks by the clock of its owner.
func (s *skewed) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	move(s.clock.Out, &r.Now)
	claims, err := s.Backend.Claim(ctx, r)
	move(-s.clock.Out, &claims.NextWake) // it answers to Now
	for i := range claims.Runs {
		c := &claims.Runs[i]
		c.Record = moveRecord(-s.clock.In, c.Record)
		move(-s.clock.In, &c.Until)
	}
	for i := range claims.Arrived {
		claims.Arrived[i].Messages = moveMessages(-s.clock.In, claims.Arrived[i].Messages)
	}
	return claims, err
}

// Commit writes by the clock of its owner.
func (s *skewed) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	moved := make([]*lambdabiz.Commit, len(batch))
	for i, c := range batch {
		moved[i] = s.out(c)
	}
	verdicts, err := s.Backend.Commit(ctx, moved)
	for i := range verdicts {
		v := &verdicts[i]
		v.Messages = moveMessages(-s.clock.In, v.Messages)
		for k := range v.Starts {
			v.Starts[k].Info = moveInfo(-s.clock.In, v.Starts[k].Info)
			v.Starts[k].Messages = moveMessages(-s.clock.In, v.Starts[k].Messages)
		}
	}
	return verdicts, err
}

// out returns the commit as it is written.
func (s *skewed) out(given *lambdabiz.Commit) *lambdabiz.Commit {
	c, d := *given, s.clock.Out
	move(d, &c.At, &c.WakeAt)
	c.Operations = moveOperations(d, c.Operations)
	c.Starts, c.Raises = slices.Clone(c.Starts), slices.Clone(c.Raises)
	for i := range c.Starts {
		move(d, &c.Starts[i].Deadline)
	}
	for i := range c.Raises {
		move(d, &c.Raises[i].Until)
	}
	if c.Release != nil {
		release := *c.Release
		move(d, &release.WakeAt)
		release.Blocked = moveBlocked(d, release.Blocked)
		c.Release = &release
	}
	if c.Close != nil && c.Close.Next != nil {
		closing, next := *c.Close, *c.Close.Next
		move(d, &next.Deadline)
		closing.Next, c.Close = &next, &closing
	}
	return &c
}

// Load reads by the clock of its owner.
func (s *skewed) Load(ctx context.Context, id, runID string) (*lambdabiz.Record, error) {
	rec, err := s.Backend.Load(ctx, id, runID)
	if err != nil {
		return nil, err
	}
	moved := moveRecord(-s.clock.In, *rec)
	return &moved, nil
}

// List reads by the clock of its owner.
func (s *skewed) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	move(s.clock.Out, &f.ScheduledAfter, &f.ScheduledBefore)
	page, err := s.Backend.List(ctx, f)
	for i := range page.Runs {
		page.Runs[i] = moveInfo(-s.clock.In, page.Runs[i])
	}
	return page, err
}

// Workers reads by the clock of its owner.
func (s *skewed) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	workers, err := s.Backend.Workers(ctx)
	for i := range workers {
		move(-s.clock.In, &workers[i].JoinedAt)
	}
	return workers, err
}
