package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// complete is for registrations that can only fail by a misspelt flag, which every test would show.
func complete(err error) {
	if err != nil {
		panic(err)
	}
}

// completeIDs offers the ids of orchestrations for the first argument.
func completeIDs(a *app, openOnly bool) cobra.CompletionFunc {
	return func(c *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s, err := a.open(c.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer func() { _ = s.close() }() // it was only read
		f := lambdabiz.Filter{IDPrefix: typed, Limit: 100}
		if openOnly {
			f.Status = []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}
		}
		page, err := s.List(c.Context(), f)
		if _, unsupported := errors.AsType[*lambdabiz.UnsupportedError](err); unsupported {
			f.IDPrefix = ""
			page, err = s.List(c.Context(), f)
			page.Runs = slices.DeleteFunc(page.Runs, func(r lambdabiz.RunInfo) bool { return !strings.HasPrefix(r.ID, typed) })
		}
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []cobra.Completion
		for _, r := range page.Runs {
			ids = append(ids, cobra.CompletionWithDesc(r.ID, r.Status.String()))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// completionExamples gives the commands of the completion, which come without, an example each, and an
// error for a shell that it does not know.
func completionExamples(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example = "  source <(lambdabiz completion bash)"
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(_ *cobra.Command, given []string) error {
			return usagef("completion: expected one of the shells bash, fish, powershell and zsh, got %q", given)
		}
		for _, shell := range c.Commands() {
			shell.Example = "  lambdabiz completion " + shell.Name()
		}
	}
}
