package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// filterFlags say which orchestrations are meant, as they are typed.
type filterFlags struct {
	status        []string
	tags          []string
	after, before string
	filter        lambdabiz.Filter
}

// filterNames are the flags of a filter.
var filterNames = []string{"status", "name", "prefix", "tag", "blocked", "paused", "after", "before"}

func (l *filterFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&l.status, "status", nil, "only these statuses, separated by commas")
	f.StringVar(&l.filter.Name, "name", "", "only this definition")
	f.StringVar(&l.filter.IDPrefix, "prefix", "", "only ids that begin so")
	f.StringArrayVar(&l.tags, "tag", nil, "only those with this tag, key=value; may be repeated")
	f.BoolVar(&l.filter.Blocked, "blocked", false, "only blocked ones")
	f.BoolVar(&l.filter.Paused, "paused", false, "only paused ones")
	f.StringVar(&l.after, "after", "", "only those that were started at this time or later: "+timeForms)
	f.StringVar(&l.before, "before", "", "only those that were started before this time")
	complete(c.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(
		statusNames(), cobra.ShellCompDirectiveNoFileComp)))
}

func statusNames() []string {
	var names []string
	for s := lambdabiz.StatusScheduled; s <= lambdabiz.StatusTerminated; s++ {
		names = append(names, s.String())
	}
	return names
}

func (l *filterFlags) parse() (lambdabiz.Filter, error) {
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
	now := time.Now()
	if f.ScheduledAfter, err = parseTime("after", l.after, now); err != nil {
		return f, err
	}
	f.ScheduledBefore, err = parseTime("before", l.before, now)
	return f, err
}

const timeForms = "2026-03-01, 2026-03-01T12:00:00Z, or how long ago, 90m or 7d"

// parseTime reads a time, or how long ago it was. "" is the zero time.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usagef("--%s is %q, it must be %s", flag, text, timeForms)
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

// listAll reads all pages as one.
func listAll(ctx context.Context, s *store, f lambdabiz.Filter) ([]lambdabiz.RunInfo, error) {
	f.Limit = 1000
	var runs []lambdabiz.RunInfo
	for {
		page, err := s.List(ctx, f)
		if err != nil {
			return nil, err
		}
		runs = append(runs, page.Runs...)
		if f.Cursor = page.Next; page.Next == "" {
			return runs, nil
		}
	}
}
