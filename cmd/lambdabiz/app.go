package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
)

// app is what all commands share: the streams and the global flags.
type app struct {
	in        io.Reader
	out, errs io.Writer

	targets targetFlags
	output  string
	verbose bool
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "lambdabiz",
		Short: "Show and steer durable orchestrations",
		Long: "lambdabiz shows and steers durable orchestrations, and runs a demo of them.\n\n" +
			exitCodesHelp,
		Example: "  lambdabiz demo\n" +
			"  lambdabiz list --status STARTED\n" +
			"  lambdabiz show Sequence3 -o json\n" +
			"  lambdabiz list --backend 'swf:LambdaBiz?region=eu-west-1'\n" +
			"  lambdabiz show Sequence3 --store dynamodb:LambdaBizState",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return usagef("unknown command %q%s", args[0], suggestion(c, args[0]))
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	f := root.PersistentFlags()
	a.targets.register(f)
	f.StringVarP(&a.output, "output", "o", "table", "how to print, table or json")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what the engine does to standard error")
	complete(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	root.AddCommand(demoCommand(a), listCommand(a), showCommand(a), startCommand(a), raiseCommand(a),
		cancelCommand(a), terminateCommand(a), pauseCommand(a), resumeCommand(a), dropCommand(a), purgeCommand(a),
		watchCommand(a), doctorCommand(a), exportCommand(a), checkCommand(a), restWorkerCommand(a), versionCommand(a))
	root.SetIn(a.in)
	root.SetOut(a.out) // before the completion, which remembers it
	root.SetErr(a.errs)
	root.InitDefaultCompletionCmd()
	completionExamples(root)
	return root
}

func suggestion(c *cobra.Command, typed string) string {
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(typed); len(near) > 0 {
		return fmt.Sprintf(", did you mean %s?", strings.Join(near, " or "))
	}
	return ""
}

// check looks at the global flags.
func (a *app) check() error {
	if a.output != "table" && a.output != "json" {
		return usagef("--output is %q, it must be table or json", a.output)
	}
	return nil
}

func (a *app) json() bool { return a.output == "json" }

// notef tells a person something that is no result.
func (a *app) notef(format string, args ...any) {
	_, _ = fmt.Fprintf(a.errs, format+"\n", args...) // a lost note is no reason to stop
}

func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.errs, &slog.HandlerOptions{Level: level}))
}

// with runs f on the store that exists, and closes it.
func (a *app) with(ctx context.Context, f func(s *store) error) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.close())
}

// look is with for a command that changes nothing.
func (a *app) look(ctx context.Context, f func(s *store) error) error {
	s, err := a.openAs(ctx, opening{reads: true})
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.close())
}

// takes makes a check of the number of arguments that names them.
func takes(least int, names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		switch {
		case len(given) < least:
			return usagef("%s: the argument %s is missing", c.Name(), names[len(given)])
		case len(given) > len(names) && len(names) == 0:
			return usagef("%s takes no arguments, got %q", c.Name(), given[0])
		case len(given) > len(names):
			return usagef("%s: too many arguments, expected %s, got %q as well",
				c.Name(), strings.Join(names, " "), given[len(names)])
		}
		return nil
	}
}
