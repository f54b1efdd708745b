package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/lambdabiz/lambdabiz"
)

// The results of [Main].
const (
	ExitFits    = 0 // the code may take all of them over
	ExitError   = 1 // the export cannot be read, or was not checked to its end
	ExitUsage   = 2 // no export is named
	ExitMisfits = 5 // something would be repeated or blocked
)

// Main is [Run] as a program: args is the name of an export's file, "-" for standard input. It prints the [Table] to
// out, and what goes wrong to errs, and returns the exit code.
func Main(ctx context.Context, args []string, out, errs io.Writer, items ...lambdabiz.Registrable) int {
	if len(args) != 1 {
		tell(errs, "usage: check FILE, with a file that lambdabiz export has written, or - for standard input")
		return ExitUsage
	}
	table, err := readFile(ctx, args[0], items)
	if err != nil {
		tell(errs, err.Error())
		return ExitError
	}
	if _, err := io.WriteString(out, table.String()); err != nil {
		tell(errs, "print: "+err.Error())
		return ExitError
	}
	if !table.Fits() {
		return ExitMisfits
	}
	return ExitFits
}

func readFile(ctx context.Context, name string, items []lambdabiz.Registrable) (table Table, err error) {
	file := os.Stdin
	if name != "-" {
		if file, err = os.Open(name); err != nil {
			return nil, fmt.Errorf("read the export: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	return Run(ctx, file, Config{}, items...)
}

func tell(errs io.Writer, text string) {
	_, _ = fmt.Fprintln(errs, text) // a lost note is no reason to go on
}
