package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	codecheck "github.com/lambdabiz/lambdabiz/check"
	"github.com/lambdabiz/lambdabiz/cmd/internal/demo"
)

func checkCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say whether this program's code fits what is in flight",
		Long: "Let the code of this program, that of the demo, run over the orchestrations of an export, or over all\n" +
			"that are open, and say what is kept, new, repeated and orphaned, and what would be blocked. Nothing is\n" +
			"performed. Those of other definitions are not checked: your own program offers the same for its code, by\n" +
			"check.Main. The exit code is 5 if something would be repeated or blocked.",
		Example: "  lambdabiz check\n" +
			"  lambdabiz export -o open.jsonl; lambdabiz check open.jsonl\n" +
			"  lambdabiz export | orders check -",
		Args: takes(0, "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return a.readExport(c.Context(), name, func(r io.Reader) error {
				table, err := codecheck.Run(c.Context(), r, codecheck.Config{}, demo.Code)
				if err != nil {
					return err
				}
				return a.printCheck(table)
			})
		},
	}
}

// printCheck prints a table; the error carries the exit code.
func (a *app) printCheck(table codecheck.Table) error {
	var err error
	if a.json() {
		if table == nil {
			table = codecheck.Table{}
		}
		err = printJSON(a.out, table)
	} else {
		err = write(a.out, table.String())
	}
	if err == nil && !table.Fits() {
		err = &quietError{exitProblems, fmt.Sprintf("the code does not fit all of %d orchestrations", len(table))}
	}
	return err
}
