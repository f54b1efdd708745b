package model_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// The ids of what the program does.
const (
	theID  = "x"
	theRun = "x-1"

	opEvent  = "go"
	opNap    = "side/nap"
	opMore   = "side/more"
	opEffect = "effect"
	opClean  = "clean"
)

// program is an orchestration that waits for an event and, in a branch, for a time and then for an event of the same
// name. Its bodies return when they are told.
type program struct {
	nap, late time.Duration

	store  *home
	mu     sync.Mutex
	bodies []*body
	begun  int
	ended  bool // bodies return at once
	faults []string
}

// body is one that runs.
type body struct {
	id   string
	life int // of the worker that has begun it
	end  chan struct{}
}

func (p *program) complainf(format string, a ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, a...))
}

func (p *program) definition() lambdabiz.Registrable {
	return lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (string, error) {
		side := lambdabiz.Go(o, "side", func(o lambdabiz.Context) (int, error) {
			if err := lambdabiz.Sleep(o, "nap", p.nap); err != nil {
				return 0, err
			}
			return p.wait(o, "more", lambdabiz.Named(opEvent))
		})
		n, err := p.wait(o, opEvent)
		begun := err == nil
		if begun {
			_, err = lambdabiz.Step(o, opEffect, p.step(opEffect, map[string]error{opEvent: nil}))
		}
		more, sideErr := side.Wait(o)
		given := map[string]error{opEvent: err, opNap: sideErr, opMore: sideErr}
		if begun {
			given[opEffect] = err
		}
		if _, cleanErr := lambdabiz.Step(lambdabiz.Detached(o), opClean, p.step(opClean, given)); cleanErr != nil {
			return "", cleanErr
		}
		return fmt.Sprint(n, more), errors.Join(err, sideErr)
	})
}

// wait waits for an event: 0 if it comes too late.
func (p *program) wait(o lambdabiz.Context, id string, opts ...lambdabiz.WaitOption) (int, error) {
	n, err := lambdabiz.WaitForEvent[int](o, id, append(opts, lambdabiz.Timeout(p.late))...)
	if _, late := errors.AsType[*lambdabiz.EventTimeoutError](err); late {
		return 0, nil
	}
	return n, err
}

// step is a body whose code was given what came of some operations: that must be on disk by now, and what comes of
// this operation must not. An operation that a cancellation has kept from beginning is not recorded.
func (p *program) step(id string, given map[string]error) func(ctx context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		rec, err := p.store.Load(context.WithoutCancel(ctx), theID, theRun)
		if err != nil {
			return 0, err
		}
		for known, err := range given {
			o := operation(rec, known)
			if o == nil && errors.Is(err, lambdabiz.ErrCancelled) {
				continue
			}
			if !ended(o) {
				p.complainf("the body of %s begins, and what came of %s is not durable", id, known)
			}
		}
		if o := operation(rec, id); ended(o) {
			p.complainf("the body of %s begins again, and it is recorded as %s", id, o.Status)
		}
		b := &body{id: id, life: p.store.life(), end: make(chan struct{})}
		p.mu.Lock()
		p.begun++
		if p.ended {
			close(b.end)
		} else {
			p.bodies = append(p.bodies, b)
		}
		p.mu.Unlock()
		<-b.end
		return 1, nil
	}
}

// look is which bodies run, and how many have begun.
func (p *program) look() (running []*body, begun int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.bodies), p.begun
}

func (p *program) takeFaults() (faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	faults, p.faults = p.faults, nil
	return faults
}

// finish lets the oldest body return.
func (p *program) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.bodies[0].end)
	p.bodies = p.bodies[1:]
}

// release lets all bodies return, and those to come.
func (p *program) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, b := range p.bodies {
		close(b.end)
	}
	p.bodies = nil
}

func operation(r *lambdabiz.Record, path string) *lambdabiz.Operation {
	for i := range r.Operations {
		if r.Operations[i].ID == path {
			return &r.Operations[i]
		}
	}
	return nil
}

func ended(o *lambdabiz.Operation) bool { return o != nil && o.Status.Ended() }
