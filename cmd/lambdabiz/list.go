package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// listFlags are the filters of list, as they are typed.
type listFlags struct {
	status  []string
	tags    []string
	filter  lambdabiz.Filter
	allRows bool
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
			"  lambdabiz list --prefix order- --all -o json\n" +
			"  lambdabiz list --backend swf:LambdaBiz --region eu-west-1 --status STARTED",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := l.parse()
			if err != nil {
				return err
			}
			return a.with(c.Context(), func(s *store) error { return a.list(c.Context(), s, f, l.allRows) })
		},
	}
	f := c.Flags()
	f.StringSliceVar(&l.status, "status", nil, "only these statuses, separated by commas")
	f.StringVar(&l.filter.Name, "name", "", "only this definition")
	f.StringVar(&l.filter.IDPrefix, "prefix", "", "only ids that begin so")
	f.StringArrayVar(&l.tags, "tag", nil, "only those with this tag, key=value; may be repeated")
	f.BoolVar(&l.filter.Blocked, "blocked", false, "only blocked ones")
	f.BoolVar(&l.filter.Paused, "paused", false, "only paused ones")
	f.BoolVar(&l.filter.AllRuns, "all-runs", false, "every run of an id, not the latest only")
	f.IntVar(&l.filter.Limit, "limit", 100, "rows at most, 1 to 1000")
	f.StringVar(&l.filter.Cursor, "cursor", "", "go on after an earlier page")
	f.BoolVar(&l.allRows, "all", false, "all pages")
	complete(c.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(
		statusNames(), cobra.ShellCompDirectiveNoFileComp)))
	return c
}

func statusNames() []string {
	var names []string
	for s := lambdabiz.StatusScheduled; s <= lambdabiz.StatusTerminated; s++ {
		names = append(names, s.String())
	}
	return names
}

func (l *listFlags) parse() (lambdabiz.Filter, error) {
	f := l.filter
	for _, name := range l.status {
		s, err := lambdabiz.ParseStatus(strings.ToUpper(strings.TrimSpace(name)))
		if err != nil || s == lambdabiz.StatusNone {
			return f, usagef("--status is %q, it must be one of %s", name, strings.Join(statusNames(), ", "))
		}
		f.Status = append(f.Status, s)
	}
	var err error
	if f.Tags, err = parseTags(l.tags); err != nil {
		return f, err
	}
	if f.Limit < 1 || f.Limit > 1000 {
		return f, usagef("--limit is %d, it must be 1 to 1000", f.Limit)
	}
	return f, nil
}

// parseTags reads key=value pairs.
func parseTags(pairs []string) (map[string]string, error) {
	var tags map[string]string
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, usagef("--tag is %q, it must be key=value", pair)
		}
		if tags == nil {
			tags = map[string]string{}
		}
		if old, twice := tags[key]; twice && old != value {
			return nil, usagef("--tag %s is given twice, as %q and %q", key, old, value)
		}
		tags[key] = value
	}
	return tags, nil
}

// list prints a page, or all of them as one.
func (a *app) list(ctx context.Context, s *store, f lambdabiz.Filter, all bool) error {
	page, err := s.List(ctx, f)
	for err == nil && all && page.Next != "" {
		f.Cursor = page.Next
		var more lambdabiz.Page
		more, err = s.List(ctx, f)
		page.Runs, page.Next = append(page.Runs, more.Runs...), more.Next
	}
	if err != nil && f.Cursor != "" && strings.Contains(err.Error(), "cursor") {
		return usagef("--cursor: %w", err)
	}
	if err != nil {
		return err
	}
	if a.json() {
		if page.Runs == nil {
			page.Runs = []lambdabiz.RunInfo{}
		}
		return printJSON(a.out, page)
	}
	if len(page.Runs) == 0 {
		a.notef("no orchestration matches")
		return nil
	}
	if err := write(a.out, runTable(page.Runs).String()); err != nil {
		return err
	}
	if page.Next != "" {
		a.notef("there are more: --cursor %s, or --all", page.Next)
	}
	return nil
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
