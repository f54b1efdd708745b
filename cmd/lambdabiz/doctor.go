package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func doctorCommand(a *app) *cobra.Command {
	var grace time.Duration
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find orchestrations that nothing will wake",
		Long: "Find open orchestrations that will not go on by themselves:\n" +
			"  blocked      a mistake in the code keeps it from going on; the reason is shown\n" +
			"  lost worker  it is held by a worker that is gone or not registered\n" +
			"  unserved     it is due, and no live worker has its definition\n" +
			"  overdue      it is due for long, though a live worker has its definition\n" +
			"  asleep       it has no time to wake, and no event or child to wait for\n" +
			"  late         it will wake later than what it waits for\n" +
			"Paused ones and those driven by hand are no problem. The exit code is 5 if there are problems.",
		Example: "  lambdabiz doctor\n" +
			"  lambdabiz doctor --grace 1m -o json",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if grace < 0 {
				return usagef("--grace is %v, it must be 0 or more", grace)
			}
			return a.with(c.Context(), func(s *store) error {
				d, err := diagnose(c.Context(), s, time.Now(), grace)
				if err != nil {
					return err
				}
				return a.report(d)
			})
		},
	}
	c.Flags().DurationVar(&grace, "grace", 10*time.Second, "how late a worker may be")
	return c
}

// report prints a diagnosis; the error carries the exit code.
func (a *app) report(d *diagnosis) error {
	live := 0
	for _, w := range d.Workers {
		if !w.Gone {
			live++
		}
	}
	if a.json() {
		if err := printJSON(a.out, d); err != nil {
			return err
		}
	} else if len(d.Problems) > 0 {
		t := newTable("ID", "NAME", "PROBLEM", "SINCE", "DETAIL", "WHAT TO DO")
		for _, p := range d.Problems {
			t.row(p.ID, orDash(p.Name), p.Kind, timeCell(p.Since), p.Detail, p.Hint)
		}
		if err := write(a.out, t.String()); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("%d open (%d paused), %d live workers: ", d.Open, d.Paused, live)
	if n := len(d.Problems); n > 0 {
		return &quietError{exitProblems, fmt.Sprintf("%s%d need help", summary, n)}
	}
	if a.json() {
		return nil
	}
	return write(a.out, summary+"all have a reason to wake\n")
}
