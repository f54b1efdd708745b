package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/cmd/internal/text"
)

// progress prints the operations of the demo as they stand in the store: what it says has happened is
// on disk.
type progress struct {
	config  *Config
	live    *text.Live
	tracks  []*track
	kicks   chan struct{}
	stopped bool // the worker's end was seen
	settled bool // the worker has told of all that has ended in this process

	mu  sync.Mutex
	ran map[[2]string]bool // orchestration and operation that ended in this process
}

// track is one orchestration.
type track struct {
	id      string
	state   *lambdabiz.State // nil before it is started
	printed map[string]bool  // operations whose end, or wait, was told
	ranNow  []string
	before  []string // recorded when the demo began
	told    string   // the last note

	doubted  map[string]time.Time // operations that were found ended before this process was told so, and since when
	doubtful bool                 // the last look has found some
}

func newProgress(c *Config, ids ...string) *progress {
	w := c.Out
	if c.JSON {
		w = c.Errs // standard output is for the one JSON object
	}
	p := &progress{config: c, live: text.NewLive(w), kicks: make(chan struct{}, 1), ran: map[[2]string]bool{}}
	for _, id := range ids {
		p.live.Width = max(p.live.Width, len(id))
		p.tracks = append(p.tracks, &track{id: id, printed: map[string]bool{}, doubted: map[string]time.Time{}})
	}
	return p
}

// kick asks for another look. It never blocks: hooks call it.
func (p *progress) kick() {
	select {
	case p.kicks <- struct{}{}:
	default:
	}
}

func (p *progress) ranHere(id, operation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran[[2]string{id, operation}] = true
}

// begin tells what is recorded before anything runs.
func (p *progress) begin(ctx context.Context, s *Home) error {
	for _, t := range p.tracks {
		var err error
		if t.state, err = s.State(ctx, t.id); err != nil && !errors.Is(err, lambdabiz.ErrNotFound) {
			return err
		}
		if err := p.introduce(t); err != nil {
			return err
		}
	}
	return nil
}

func (p *progress) introduce(t *track) error {
	var ended []*lambdabiz.Operation
	intro := t.id + ": starts"
	if t.state != nil {
		ended = byEnd(t.state)
		intro = fmt.Sprintf("%s: continues; %d of its operations are recorded and do not run again", t.id, len(ended))
		if t.state.Status.Ended() {
			intro = fmt.Sprintf("%s: has ended before, %s; everything is recorded, nothing runs", t.id, t.state.Status)
		}
	}
	if err := p.live.Line(intro); err != nil {
		return err
	}
	for _, o := range ended {
		t.printed[o.ID] = true
		t.before = append(t.before, o.ID)
		if err := p.live.Operation(t.id, o, happened("recorded before", o)); err != nil {
			return err
		}
	}
	return nil
}

// happened adds how an operation ended, when that was not as it should.
func happened(what string, o *lambdabiz.Operation) string {
	if o.Status == lambdabiz.StatusSucceeded {
		return what
	}
	return what + ", " + o.Status.String()
}

// byEnd returns the operations that have ended, in that order.
func byEnd(s *lambdabiz.State) []*lambdabiz.Operation {
	var ended []*lambdabiz.Operation
	for i := range s.Operations {
		if s.Operations[i].Status.Ended() {
			ended = append(ended, &s.Operations[i])
		}
	}
	slices.SortStableFunc(ended, func(a, b *lambdabiz.Operation) int { return a.EndedAt.Compare(b.EndedAt) })
	return ended
}

// recorded reports whether an operation, whose id is unique in the demo, had ended before.
func (p *progress) recorded(operation string) bool {
	return slices.ContainsFunc(p.tracks, func(t *track) bool { return slices.Contains(t.before, operation) })
}

func (p *progress) ended() bool {
	return !slices.ContainsFunc(p.tracks, func(t *track) bool {
		return t.state == nil || !t.state.Status.Ended() || t.doubtful
	})
}

// follow prints what happens until both orchestrations have ended. The ticks are for what other
// processes do.
func (p *progress) follow(ctx context.Context, s *Home, k *killer, worker <-chan error) error {
	ticks := time.NewTicker(500 * time.Millisecond)
	defer ticks.Stop()
	for {
		if err := p.lookAll(ctx, s, k); err != nil {
			if ctx.Err() != nil {
				return p.interrupted(ctx)
			}
			return err
		}
		if p.ended() {
			return nil
		}
		if err := p.stuck(); err != nil && !k.near() {
			return err
		}
		select {
		case <-ctx.Done():
			return p.interrupted(ctx)
		case err := <-worker:
			p.stopped = true
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return err
		case <-p.kicks:
		case <-ticks.C:
		}
	}
}

// interrupted tells why the program may go on for a while.
func (p *progress) interrupted(ctx context.Context) error {
	p.config.notef("interrupted: what has ended is recorded, the same command continues; a second Ctrl-C kills")
	return context.Cause(ctx)
}

func (p *progress) lookAll(ctx context.Context, s *Home, k *killer) error {
	for _, t := range p.tracks {
		if err := p.look(ctx, s, t, k); err != nil {
			return err
		}
	}
	return nil
}

// look prints what is new in one orchestration.
func (p *progress) look(ctx context.Context, s *Home, t *track, k *killer) error {
	state, err := s.State(ctx, t.id)
	if errors.Is(err, lambdabiz.ErrNotFound) && t.state == nil {
		return nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	t.state, t.doubtful = state, false
	for _, o := range byEnd(state) {
		if t.printed[o.ID] {
			continue
		}
		p.mu.Lock()
		here := p.ran[[2]string{t.id, o.ID}]
		p.mu.Unlock()
		if !here && !p.settled && t.doubts(o.ID) {
			t.doubtful = true
			continue
		}
		t.printed[o.ID] = true
		what := "ran elsewhere"
		if here {
			what = "ran now"
			t.ranNow = append(t.ranNow, o.ID)
		}
		if err := p.live.Operation(t.id, o, happened(what, o)); err != nil {
			return err
		}
		k.durable(t.id, o.ID)
	}
	p.note(t)
	return nil
}

// patience is how long the engine's word that an operation has ended here may take: it is told beside the
// work, not in it.
const patience = 2 * time.Second

// doubts reports whether the word about an operation may be on its way.
func (t *track) doubts(operation string) bool {
	since, before := t.doubted[operation]
	if !before {
		since = time.Now()
		t.doubted[operation] = since
	}
	return time.Since(since) < patience
}

// note tells, once each, why an orchestration does not move.
func (p *progress) note(t *track) {
	why := ""
	switch s := t.state; {
	case s.Status.Ended():
	case s.Blocked != nil && s.Blocked.Times > 0: // else only our own worker is not there yet
		why = "is blocked: " + text.Blocked(s.Blocked)
	case s.Paused:
		why = "is paused: lambdabiz resume " + s.ID
	default:
		for _, w := range s.WaitingFor {
			if w.Kind == lambdabiz.KindTimer || w.Kind == lambdabiz.KindEvent {
				why = "waits for " + text.Waiting([]lambdabiz.Waiting{w})
			}
		}
	}
	if why != "" && why != t.told {
		p.config.notef("%s: %s", text.Clean(t.id), text.Clean(why))
	}
	t.told = why
}

// stuck says so when the event that Sequence3 waits for will not come from here.
func (p *progress) stuck() error {
	sequence, service := p.tracks[0].state, p.tracks[1].state
	if sequence == nil || service == nil || sequence.Status.Ended() ||
		!service.Status.Ended() || service.Status == lambdabiz.StatusSucceeded {
		return nil
	}
	return &FailedError{strings.TrimSpace(fmt.Sprintf(
		"%s %s: %s; %s stays open: lambdabiz raise %s %s true", service.ID, service.Status,
		text.OutcomeCell(nil, service.Error), sequence.ID, sequence.ID, ApproveEvent))}
}
