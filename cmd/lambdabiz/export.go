package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	codecheck "github.com/lambdabiz/lambdabiz/check"
	"github.com/lambdabiz/lambdabiz/cmd/internal/text"
)

func exportCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "export",
		Short: "Write all open orchestrations into a file, to check new code with",
		Long: "Write the state of every open orchestration as JSON, one in a line: what a program's own check, or\n" +
			"lambdabiztest.Check in a test, lets new code run over before it is deployed.\n" +
			"Payloads may be secrets: keep the file accordingly.",
		Example: "  lambdabiz export -o open.jsonl\n" +
			"  lambdabiz export | orders check -",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.look(c.Context(), func(s *store) error { return a.export(c.Context(), s, file) })
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "-", "the file to write; - is standard output")
	return c
}

// export writes to a new file, which has its name only when it is whole.
func (a *app) export(ctx context.Context, s *store, name string) (err error) {
	if name == "-" {
		_, err := codecheck.Export(ctx, s, a.out, nil)
		return err
	}
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	n, err := codecheck.Export(ctx, s, f, a.counting(time.Second))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		return fmt.Errorf("export: %w", errors.Join(err, os.Remove(part)))
	}
	a.notef("%d open orchestrations are in %s", n, name)
	return nil
}

// counting tells a person how far it is, now and then.
func (a *app) counting(every time.Duration) func(n int) {
	if !text.IsTerminal(a.errs) {
		return nil
	}
	told := time.Now()
	return func(n int) {
		if time.Since(told) >= every {
			told = time.Now()
			a.notef("%d orchestrations so far", n)
		}
	}
}

// readExport opens an export: a file, standard input, or what is open in the store.
func (a *app) readExport(ctx context.Context, name string, use func(r io.Reader) error) (err error) {
	switch name {
	case "-":
		return use(a.in)
	case "":
		return a.look(ctx, func(s *store) error {
			r, w := io.Pipe()
			go func() {
				_, err := codecheck.Export(ctx, s, w, nil)
				w.CloseWithError(err) // use reads it; it always returns nil
			}()
			defer r.Close()
			return use(r)
		})
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return use(f)
}
