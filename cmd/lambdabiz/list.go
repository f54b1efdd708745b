package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// listFlags are the flags of list.
type listFlags struct {
	filterFlags
	allRows, ids, progress, orphans bool
}

func listCommand(a *app) *cobra.Command {
	var l listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List orchestrations, newest first",
		Long: "List orchestrations, newest first: the latest run of each, or every run with --all-runs.\n" +
			"All filters that are given must hold.",
		Example: "  lambdabiz list\n" +
			"  lambdabiz list --status STARTED,SCHEDULED --tag customer=21\n" +
			"  lambdabiz list --prefix order- --after 7d --progress\n" +
			"  lambdabiz list --status FAILED --all --ids\n" +
			"  lambdabiz list --backend swf:LambdaBiz --region eu-west-1 --status STARTED",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := l.parse()
			if err != nil {
				return err
			}
			if f.Limit < 1 || f.Limit > 1000 {
				return usagef("--limit is %d, it must be 1 to 1000", f.Limit)
			}
			return a.look(c.Context(), func(s *store) error { return a.list(c.Context(), s, f, &l) })
		},
	}
	l.register(c)
	f := c.Flags()
	f.BoolVar(&l.orphans, "orphans", false, "only those that have ended without operations that are recorded")
	f.BoolVar(&l.filter.AllRuns, "all-runs", false, "every run of an id, not the latest only")
	f.IntVar(&l.filter.Limit, "limit", 100, "rows at most, 1 to 1000")
	f.StringVar(&l.filter.Cursor, "cursor", "", "go on after an earlier page")
	f.BoolVar(&l.allRows, "all", false, "all pages")
	f.BoolVar(&l.ids, "ids", false, "print the ids alone, one in a line")
	f.BoolVar(&l.progress, "progress", false, "print the progress too; each row takes a look of its own")
	c.MarkFlagsMutuallyExclusive("ids", "progress")
	return c
}

// list prints a page, or all of them as one.
func (a *app) list(ctx context.Context, s *store, f lambdabiz.Filter, l *listFlags) error {
	page, err := s.List(ctx, f)
	if err != nil && f.Cursor != "" && strings.Contains(strings.ToLower(err.Error()), "cursor") {
		return usagef("--cursor: %w", err)
	}
	page.Runs = l.chosen(page.Runs)
	for err == nil && page.Next != "" && (l.allRows || l.orphans && len(page.Runs) < f.Limit) {
		f.Cursor = page.Next
		var more lambdabiz.Page
		more, err = s.List(ctx, f)
		page.Runs, page.Next = append(page.Runs, l.chosen(more.Runs)...), more.Next
	}
	if err == nil && l.progress {
		err = addProgress(ctx, s, page.Runs)
	}
	if err != nil {
		return err
	}
	if err := a.printPage(&page, l); err != nil {
		return err
	}
	if page.Next != "" && !a.json() {
		a.notef("there are more: --cursor %s, or --all", page.Next)
	}
	return nil
}

func (a *app) printPage(page *lambdabiz.Page, l *listFlags) error {
	ids := []string{}
	for i := range page.Runs {
		ids = append(ids, page.Runs[i].ID)
	}
	switch {
	case a.json() && l.ids:
		return printJSON(a.out, ids)
	case a.json():
		if page.Runs == nil {
			page.Runs = []lambdabiz.RunInfo{}
		}
		return printJSON(a.out, page)
	case len(ids) == 0:
		a.notef("no orchestration matches")
		return nil
	case l.ids:
		return write(a.out, strings.Join(ids, "\n")+"\n")
	case l.progress:
		return write(a.out, progressTable(page.Runs).String())
	}
	return write(a.out, runTable(page.Runs).String())
}

// addProgress reads what lists leave out.
func addProgress(ctx context.Context, s *store, runs []lambdabiz.RunInfo) error {
	for i := range runs {
		state, err := s.StateOf(ctx, runs[i].ID, runs[i].RunID)
		if errors.Is(err, lambdabiz.ErrNotFound) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		runs[i].Progress = state.Progress
	}
	return nil
}

func progressTable(runs []lambdabiz.RunInfo) *table {
	t := newTable("ID", "STATUS", "SCHEDULED", "PROGRESS", "NOTE")
	for i := range runs {
		r := &runs[i]
		t.row(r.ID, r.Status.String(), timeCell(r.ScheduledAt), payloadCell(r.Progress), runNote(r))
	}
	return t
}

// chosen are those of a page that the store could not choose.
func (l *listFlags) chosen(runs []lambdabiz.RunInfo) []lambdabiz.RunInfo {
	if !l.orphans {
		return runs
	}
	return slices.DeleteFunc(runs, func(r lambdabiz.RunInfo) bool { return len(r.Orphans) == 0 })
}

func runTable(runs []lambdabiz.RunInfo) *table {
	t := newTable("ID", "NAME", "STATUS", "SCHEDULED", "ENDED", "NOTE")
	for i := range runs {
		r := &runs[i]
		t.row(r.ID, orDash(r.Name), r.Status.String(), timeCell(r.ScheduledAt), timeCell(r.EndedAt), runNote(r))
	}
	return t
}

// runNote is what is unusual about a run, in a few words.
func runNote(r *lambdabiz.RunInfo) string {
	var notes []string
	if r.Blocked != nil && !r.Status.Ended() {
		notes = append(notes, "blocked: "+cut(r.Blocked.Reason, cellWidth))
	}
	if r.Paused && !r.Status.Ended() {
		notes = append(notes, because("paused", r.PauseReason))
	}
	if r.CancelRequested && !r.Status.Ended() {
		notes = append(notes, because("cancelling", r.CancelReason))
	}
	if r.Error != nil {
		notes = append(notes, cut(r.Error.Message, cellWidth))
	}
	if len(r.Orphans) > 0 {
		notes = append(notes, cut("orphans: "+strings.Join(r.Orphans, ", "), cellWidth))
	}
	if r.ContinuedAs != "" {
		notes = append(notes, "continued")
	}
	return orDash(strings.Join(notes, "; "))
}

// because puts the reason that somebody gave behind a word.
func because(word, reason string) string {
	if reason == "" {
		return word
	}
	return word + ": " + cut(reason, cellWidth)
}
