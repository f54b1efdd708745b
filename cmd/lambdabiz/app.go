package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const (
	defaultBackend = "sqlite:lambdabiz.db"
	backendEnv     = "LAMBDABIZ_BACKEND"
)

// app is what all commands share: the streams and the global flags.
type app struct {
	in        io.Reader
	out, errs io.Writer

	backend string
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
			"  lambdabiz show Sequence3 -o json",
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
	f.StringVar(&a.backend, "backend", backendDefault(), "where the orchestrations are, sqlite:FILE; "+
		"the environment variable "+backendEnv+" sets another default")
	f.StringVarP(&a.output, "output", "o", "table", "how to print, table or json")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what the engine does to standard error")
	complete(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	root.AddCommand(demoCommand(a), listCommand(a), showCommand(a), startCommand(a), raiseCommand(a),
		cancelCommand(a), terminateCommand(a), pauseCommand(a), resumeCommand(a), purgeCommand(a),
		watchCommand(a), doctorCommand(a), versionCommand(a))
	root.SetIn(a.in)
	root.SetOut(a.out) // before the completion, which remembers it
	root.SetErr(a.errs)
	root.InitDefaultCompletionCmd()
	completionExamples(root)
	return root
}

func backendDefault() string {
	if v := os.Getenv(backendEnv); v != "" {
		return v
	}
	return defaultBackend
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

// file returns the path in --backend.
func (a *app) file() (string, error) {
	kind, path, found := strings.Cut(a.backend, ":")
	if !found || kind != "sqlite" || path == "" {
		return "", usagef("--backend is %q, it must be sqlite:FILE", a.backend)
	}
	return path, nil
}

// store is an open backend with an engine on it.
type store struct {
	*lambdabiz.Engine
	backend *sqlite.Backend
}

// open opens the store that exists: a command that asks for something must not leave an empty file
// behind where somebody has misspelt a path.
func (a *app) open(ctx context.Context) (*store, error) {
	path, err := a.file()
	if err != nil {
		return nil, err
	}
	stat, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--backend %s: the file does not exist (demo and start create one)", a.backend)
	case err != nil:
		return nil, fmt.Errorf("--backend %s: %w", a.backend, err)
	case stat.IsDir():
		return nil, fmt.Errorf("--backend %s: it is a directory, give the path of a file", a.backend)
	}
	return a.create(ctx, lambdabiz.Config{})
}

// create opens the store, and creates its file if there is none.
func (a *app) create(ctx context.Context, c lambdabiz.Config) (*store, error) {
	path, err := a.file()
	if err != nil {
		return nil, err
	}
	backend, err := sqlite.OpenConfig(ctx, sqlite.Config{Path: path})
	if err != nil {
		return nil, fmt.Errorf("--backend: %w", err)
	}
	c.Logger = a.logger()
	engine, err := lambdabiz.New(backend, c)
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return &store{engine, backend}, nil
}

func (s *store) close() error { return s.backend.Close() }

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
