package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// bulk is what a command does to every orchestration that a filter selects.
type bulk struct {
	filterFlags
	verb, done  string
	everything  bool
	dryRun      bool
	endedBefore string

	// fits says which orchestrations of the selection the command is for; the others are left out.
	fits func(r *lambdabiz.RunInfo) bool
}

const bulkHelp = "\n\nInstead of ID a filter may be given, or --all: it is then done to all of these, one after\n" +
	"the other. --dry-run only prints which. One that has changed meanwhile, so that it cannot be\n" +
	"done, is passed over."

func (b *bulk) register(c *cobra.Command) {
	b.filterFlags.register(c)
	c.Flags().BoolVar(&b.everything, "all", false, "all that the command is for, without another filter")
	c.Flags().BoolVar(&b.dryRun, "dry-run", false, "print what a filter selects, and do nothing")
	c.Args = func(c *cobra.Command, given []string) error {
		switch {
		case !b.given(c):
			if b.dryRun {
				return usagef("--dry-run needs a filter, or --all")
			}
			return takes(1, "ID")(c, given)
		case len(given) > 0:
			return usagef("%s: give an ID or a filter, not both, got %q", c.Name(), given[0])
		}
		return nil
	}
}

// given reports whether a filter is.
func (b *bulk) given(c *cobra.Command) bool {
	return c.Flags().Changed("all") || slices.ContainsFunc(append([]string{"ended-before"}, filterNames...), c.Flags().Changed)
}

// passed is an orchestration that has changed meanwhile.
type passed struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// bulked is what a command prints that has worked on many.
type bulked struct {
	Action string   `json:"action"`
	DryRun bool     `json:"dryRun"`
	IDs    []string `json:"ids"`
	Passed []passed `json:"passedOver"`
}

// run does it to all that the filter selects. What is selected is read before the first one changes.
func (b *bulk) run(ctx context.Context, a *app, s *store, act func(ctx context.Context, id string) error) error {
	f, err := b.parse()
	if err != nil {
		return err
	}
	ended, err := parseTime("ended-before", b.endedBefore, time.Now())
	if err != nil {
		return err
	}
	runs, err := listAll(ctx, s, f)
	if err != nil {
		return err
	}
	out := bulked{Action: b.verb, DryRun: b.dryRun, IDs: []string{}, Passed: []passed{}}
	for i := range runs {
		r := &runs[i]
		if !b.fits(r) || !ended.IsZero() && !r.EndedAt.Before(ended) {
			continue
		}
		err := error(nil)
		if !b.dryRun {
			err = act(ctx, r.ID)
		}
		switch {
		case err == nil:
			out.IDs = append(out.IDs, r.ID)
			err = a.line(clean(r.ID) + ": " + b.does())
		case passesOver(err):
			out.Passed = append(out.Passed, passed{r.ID, err.Error()})
			a.notef("%s", clean(err.Error()))
			err = nil
		}
		if err != nil {
			return errors.Join(err, b.finish(a, &out))
		}
	}
	return b.finish(a, &out)
}

func (b *bulk) does() string {
	if b.dryRun {
		return "would be selected"
	}
	return b.done
}

func (b *bulk) finish(a *app, out *bulked) error {
	if a.json() {
		return printJSON(a.out, out)
	}
	text := fmt.Sprintf("%s: %d", b.verb, len(out.IDs))
	if b.dryRun {
		text += " would be selected (--dry-run)"
	}
	if len(out.Passed) > 0 {
		text += fmt.Sprintf(", %d have changed meanwhile", len(out.Passed))
	}
	a.notef("%s", text)
	return nil
}

// passesOver reports whether an error says that an orchestration has changed since it was selected.
func passesOver(err error) bool {
	return slices.ContainsFunc([]error{lambdabiz.ErrNotFound, lambdabiz.ErrClosed, lambdabiz.ErrOpen},
		func(target error) bool { return errors.Is(err, target) })
}

// line prints a line of a result that has many, unless it is one object in the end.
func (a *app) line(text string) error {
	if a.json() {
		return nil
	}
	return write(a.out, text+"\n")
}

func isOpen(r *lambdabiz.RunInfo) bool   { return !r.Status.Ended() }
func hasEnded(r *lambdabiz.RunInfo) bool { return r.Status.Ended() }

// stands reports whether a resume makes a difference.
func stands(r *lambdabiz.RunInfo) bool { return isOpen(r) && (r.Paused || r.Blocked != nil) }
