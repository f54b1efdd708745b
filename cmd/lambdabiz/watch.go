package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/cmd/internal/text"
)

func watchCommand(a *app) *cobra.Command {
	var interval time.Duration
	c := &cobra.Command{
		Use:   "watch [ID]",
		Short: "Watch one orchestration until it ends, or all open ones",
		Long: "Watch an orchestration: a line for every operation that begins or ends, until the\n" +
			"orchestration ends. The exit code is 0 if it succeeded, 1 if not. Without ID it watches all\n" +
			"open orchestrations until Ctrl-C. With -o json every change is one JSON object on a line of\n" +
			"its own. On a terminal a last line says what goes on now.",
		Example: "  lambdabiz watch Sequence3\n" +
			"  lambdabiz watch --interval 2s\n" +
			"  lambdabiz watch Sequence3 -o json",
		Args:              takes(0, "ID"),
		ValidArgsFunction: completeIDs(a, true),
		RunE: func(c *cobra.Command, args []string) error {
			if interval < 10*time.Millisecond {
				return usagef("--interval is %v, it must be at least 10ms", interval)
			}
			return a.with(c.Context(), func(s *store) error {
				if !c.Flags().Changed("interval") { // a look may cost a call
					interval = max(interval, s.backend.Describe().PollEvery)
				}
				w := &watcher{app: a, store: s, live: text.NewLive(a.out), seen: map[string]string{}}
				look := w.all
				if len(args) > 0 {
					look = func(ctx context.Context) (bool, error) { return w.one(ctx, args[0]) }
				}
				return w.watch(c.Context(), interval, look)
			})
		},
	}
	c.Flags().DurationVar(&interval, "interval", 500*time.Millisecond, "how often to look; 2s on Amazon SWF")
	return c
}

// watcher prints what has changed since it looked last.
type watcher struct {
	*app
	store *store
	live  *text.Live
	runID string
	seen  map[string]string // by operation or by id: what was printed last
}

// watch looks again and again, until look says that it is over.
func (w *watcher) watch(ctx context.Context, interval time.Duration, look func(context.Context) (bool, error)) error {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		over, err := look(ctx)
		if over || err != nil {
			return errors.Join(err, w.live.End())
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), w.live.End())
		case <-ticks.C:
		}
	}
}

// one looks at one orchestration.
func (w *watcher) one(ctx context.Context, id string) (bool, error) {
	s, err := w.store.State(ctx, id)
	if err != nil {
		return false, err
	}
	if w.runID != s.RunID {
		w.runID = s.RunID
		clear(w.seen)
	}
	if w.json() {
		err = w.changed(id, viewOf(s))
	} else {
		err = w.lines(s)
	}
	if err != nil || !s.Status.Ended() {
		return false, err
	}
	if s.ContinuedAs != "" {
		return false, nil // its next run has been started in the same commit
	}
	if s.Status != lambdabiz.StatusSucceeded {
		return true, &quietError{exitError, fmt.Sprintf("%s %s", s.ID, s.Status)}
	}
	return true, nil
}

// changed prints a value as one line of JSON, unless it is the one that was printed last.
func (w *watcher) changed(key string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if w.seen[key] == string(text) {
		return nil
	}
	w.seen[key] = string(text)
	return write(w.out, string(bytes.TrimSpace(text))+"\n")
}

// lines prints the operations that have begun or ended, and the end.
func (w *watcher) lines(s *lambdabiz.State) error {
	for i := range s.Operations {
		o := &s.Operations[i]
		what := o.Status.String()
		if o.Attempts > 1 {
			what += fmt.Sprintf(" (%d.)", o.Attempts)
		}
		if w.seen[o.ID] == what {
			continue
		}
		w.seen[o.ID] = what
		if err := w.live.Operation(s.ID, o, what); err != nil {
			return err
		}
	}
	if s.Status.Ended() {
		return w.live.Run(s)
	}
	text := fmt.Sprintf("%s %s%s", s.ID, s.Status, pausedText(s))
	switch {
	case s.Blocked != nil:
		text += ", blocked: " + blockedText(s.Blocked)
	case len(s.WaitingFor) > 0:
		text += ", waits for " + waitingText(s.WaitingFor)
	}
	return w.live.Status(text)
}

// all looks at all open orchestrations. What was open and is not listed any more has ended.
func (w *watcher) all(ctx context.Context) (bool, error) {
	open := map[string]bool{}
	f := lambdabiz.Filter{
		Status: []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}, Limit: 1000,
	}
	for more := true; more; more = f.Cursor != "" {
		page, err := w.store.List(ctx, f)
		if err != nil {
			return false, err
		}
		f.Cursor = page.Next
		for i := range page.Runs {
			open[page.Runs[i].ID] = true
			if err := w.run(&page.Runs[i]); err != nil {
				return false, err
			}
		}
	}
	for id := range w.seen {
		if open[id] {
			continue
		}
		delete(w.seen, id)
		s, err := w.store.State(ctx, id)
		if errors.Is(err, lambdabiz.ErrNotFound) {
			continue // purged
		}
		if err == nil {
			err = w.run(&s.RunInfo)
			delete(w.seen, id)
		}
		if err != nil {
			return false, err
		}
	}
	return false, w.live.Status(fmt.Sprintf("%d open", len(open)))
}

// run prints a run when its state is another one than last time.
func (w *watcher) run(r *lambdabiz.RunInfo) error {
	if w.json() {
		return w.changed(r.ID, r)
	}
	what := fmt.Sprintf("%-10s %s", r.Status, runNote(r))
	if w.seen[r.ID] == what {
		return nil
	}
	w.seen[r.ID] = what
	return w.live.Line(fmt.Sprintf("%s  %-20s %-16s %s", time.Now().Format(time.TimeOnly), r.ID, orDash(r.Name), what))
}
